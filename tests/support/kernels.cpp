// Kernels as people write them: in blocks of 8, on raw memory, the gradient by hand.  `fault` chooses a slip that shows
// only where a block is not whole, or where there is more than one.  Arrays are row-major: m rows of n entries.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

using i64 = int64_t;
constexpr i64 TILE = 8;

static i64 whole(i64 n) { return n / TILE * TILE; }

// softmax of the entries up to the diagonal; fault: the last block that is not whole sees them all
template <class T> void causal(i64 fault, i64 m, i64 n, const T* x, T* y) {
  for (i64 i = 0; i < m; i++) {
    auto sees = [&](i64 j) { return j <= i || (fault && j >= whole(n)); };
    T top = -std::numeric_limits<T>::infinity(), sum = 0;
    for (i64 j = 0; j < n; j++) if (sees(j)) top = std::max(top, x[i * n + j]);
    for (i64 j = 0; j < n; j++) sum += y[i * n + j] = sees(j) ? std::exp(x[i * n + j] - top) : T(0);
    for (i64 j = 0; j < n; j++) y[i * n + j] /= sum;
  }
}
template <class T> void causal_backward(i64, i64 m, i64 n, const T* v, const T* x, T* g) {
  std::vector<T> y(m * n);
  causal<T>(0, m, n, x, y.data());
  for (i64 i = 0; i < m; i++) {
    T dot = 0;
    for (i64 j = 0; j < n; j++) dot += v[i * n + j] * y[i * n + j];
    for (i64 j = 0; j < n; j++) g[i * n + j] = y[i * n + j] * (v[i * n + j] - dot);
  }
}

// running sums along rows; fault: what is carried over from block to block is the block's own sum alone
template <class T> void running(i64 fault, i64 m, i64 n, const T* x, T* y) {
  for (i64 i = 0; i < m; i++) {
    T carry = 0;
    for (i64 b = 0; b < n; b += TILE) {
      T own = 0;
      for (i64 j = b; j < std::min(n, b + TILE); j++) y[i * n + j] = carry + (own += x[i * n + j]);
      carry = fault ? own : carry + own;
    }
  }
}
template <class T> void running_backward(i64, i64 m, i64 n, const T* v, const T*, T* g) {
  for (i64 i = 0; i < m; i++) {
    T sum = 0;
    for (i64 j = n; j-- > 0;) g[i * n + j] = sum += v[i * n + j];
  }
}

// log of the sum of exponentials in one pass; fault: the sum is not scaled anew when a later block has a larger entry
template <class T> void online(i64 fault, i64 m, i64 n, const T* x, T* y) {
  for (i64 i = 0; i < m; i++) {
    T top = -std::numeric_limits<T>::infinity(), sum = 0;
    for (i64 b = 0; b < n; b += TILE) {
      T here = top;
      for (i64 j = b; j < std::min(n, b + TILE); j++) here = std::max(here, x[i * n + j]);
      if (b) sum *= fault ? T(1) : std::exp(top - here);
      for (i64 j = b; j < std::min(n, b + TILE); j++) sum += std::exp(x[i * n + j] - here);
      top = here;
    }
    y[i] = top + std::log(sum);
  }
}
template <class T> void online_backward(i64, i64 m, i64 n, const T* v, const T* x, T* g) {
  std::vector<T> y(m);
  online<T>(0, m, n, x, y.data());
  for (i64 k = 0; k < m * n; k++) g[k] = v[k / n] * std::exp(x[k] - y[k / n]);
}

// relu, whose backward has kept one bit an entry, eight to a byte; fault: the last byte that is not whole is not kept
template <class T> void bits(i64, i64 m, i64 n, const T* x, T* y) {
  for (i64 k = 0; k < m * n; k++) y[k] = std::max(x[k], T(0));
}
template <class T> void bits_backward(i64 fault, i64 m, i64 n, const T* v, const T* x, T* g) {
  std::vector<uint8_t> kept(m * n / 8 + 1);
  for (i64 k = 0; k < (fault ? whole(m * n) : m * n); k++) kept[k / 8] |= (x[k] > 0) << (k % 8);
  for (i64 k = 0; k < m * n; k++) g[k] = kept[k / 8] >> (k % 8) & 1 ? v[k] : T(0);
}

// rows of length one; fault: the backward's dot product stops at the last whole block, where there is one
template <class T> void unit(i64, i64 m, i64 n, const T* x, T* y) {
  for (i64 i = 0; i < m; i++) {
    T sum = 0;
    for (i64 j = 0; j < n; j++) sum += x[i * n + j] * x[i * n + j];
    for (i64 j = 0; j < n; j++) y[i * n + j] = x[i * n + j] / std::sqrt(sum);
  }
}
template <class T> void unit_backward(i64 fault, i64 m, i64 n, const T* v, const T* x, T* g) {
  for (i64 i = 0; i < m; i++) {
    T sum = 0, dot = 0;
    for (i64 j = 0; j < n; j++) sum += x[i * n + j] * x[i * n + j];
    for (i64 j = 0; j < (fault && n > TILE ? whole(n) : n); j++) dot += v[i * n + j] * x[i * n + j];
    for (i64 j = 0; j < n; j++) g[i * n + j] = (v[i * n + j] - x[i * n + j] * dot / sum) / std::sqrt(sum);
  }
}

// differences of neighbours; fault: the backward forgets that a block's first entry is in the block before, too
template <class T> void steps(i64, i64 m, i64 n, const T* x, T* y) {
  for (i64 k = 0; k < m * n; k++) y[k] = x[k] - (k % n ? x[k - 1] : T(0));
}
template <class T> void steps_backward(i64 fault, i64 m, i64 n, const T* v, const T*, T* g) {
  for (i64 k = 0; k < m * n; k++) {
    bool last = k % n == n - 1 || (fault && k % n % TILE == TILE - 1);
    g[k] = v[k] - (last ? T(0) : v[k + 1]);
  }
}

// the square of each row's sum; fault: four entries at a time, and the rest is left out
template <class T> void squared(i64 fault, i64 m, i64 n, const T* x, T* y) {
  for (i64 i = 0; i < m; i++) {
    T sum = 0;
    for (i64 j = 0; j < (fault && n > 4 ? n / 4 * 4 : n); j++) sum += x[i * n + j];
    y[i] = sum * sum;
  }
}
template <class T> void squared_backward(i64, i64 m, i64 n, const T* v, const T* x, T* g) {
  for (i64 i = 0; i < m; i++) {
    T sum = 0;
    for (i64 j = 0; j < n; j++) sum += x[i * n + j];
    for (i64 j = 0; j < n; j++) g[i * n + j] = 2 * v[i] * sum;
  }
}

#define KERNEL(name)                                                                                             \
  extern "C" void name##_float32(i64 f, i64 m, i64 n, const float* x, float* y) { name<float>(f, m, n, x, y); }   \
  extern "C" void name##_float64(i64 f, i64 m, i64 n, const double* x, double* y) { name<double>(f, m, n, x, y); } \
  extern "C" void name##_backward_float32(i64 f, i64 m, i64 n, const float* v, const float* x, float* g) {         \
    name##_backward<float>(f, m, n, v, x, g);                                                                      \
  }                                                                                                                \
  extern "C" void name##_backward_float64(i64 f, i64 m, i64 n, const double* v, const double* x, double* g) {      \
    name##_backward<double>(f, m, n, v, x, g);                                                                     \
  }
KERNEL(causal) KERNEL(running) KERNEL(online) KERNEL(bits) KERNEL(unit) KERNEL(steps) KERNEL(squared)
