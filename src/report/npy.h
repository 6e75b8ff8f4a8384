#pragma once

#include <cstdint>
#include <filesystem>

#include "base/file.h"
#include "tensor/tensor.h"

namespace whit::report {

// NumPy's .npy, version 1.0, little-endian fp32 [rows, cols] in C order, written row by row; it
// appears under its name when `finish` is called. Errors: kResource.
class NpyWriter {
 public:
  NpyWriter(const std::filesystem::path& path, std::int64_t rows, std::int64_t cols);
  // The next rows; on the host, F32, `cols` wide.
  void write(tensor::ConstMatrixView rows);
  // All announced rows must have come (else kBug).
  void finish();

 private:
  base::AtomicFile file_;
  std::int64_t left_;
  std::int64_t cols_;
};

}  // namespace whit::report
