#pragma once

// What this machine's host can do at best, measured now: the floors of benchmarks.
namespace whit::compute::cpu {

// fp32 flop/s of the BLAS: every thread multiplies matrices of its own that fit in its cache share.
double measure_peak_flops(int threads);

// Bytes/s of a = b + s c over arrays that no cache holds (two reads and a write counted).
double measure_bandwidth(int threads);

}  // namespace whit::compute::cpu
