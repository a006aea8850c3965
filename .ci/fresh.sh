# A fresh copy of the checkout, in a folder of its own that is gone in the end. To be sourced: it leaves the shell there.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
notes=$(mktemp -d)
trap 'rm -rf "$work" "$notes"' EXIT
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

# The files that git has or would have, and no build, cache or environment of this checkout.
git -C "$here" ls-files -z --cached --others --exclude-standard |
    (cd "$here" && while IFS= read -r -d '' f; do [ -e "$f" ] && printf '%s\0' "$f"; done) |
    tar -C "$here" --null -T - -cf - | tar -C "$work" -xf -
cd "$work"

# The nth block of the README that is fenced as sh: what is documented is what is run.
block() {
    awk -v n="$1" '/^```sh$/ { k++; inside = 1; next } /^```$/ { inside = 0 } inside && k == n' README.md
}
