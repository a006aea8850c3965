"""Words and pictures: findings to blocks, blocks to text, HTML, LaTeX and plots."""
