#include "report/npy.h"

#include <fmt/format.h>

#include <string>

#include "base/error.h"

namespace whit::report {

NpyWriter::NpyWriter(const std::filesystem::path& path, std::int64_t rows, std::int64_t cols)
    : file_(path), left_(rows), cols_(cols) {
  std::string header =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, cols);
  constexpr std::size_t kPrefix = 10;  // magic, version, header length
  while ((kPrefix + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  std::string prefix("\x93NUMPY\x01\x00", 8);
  prefix += static_cast<char>(header.size() & 0xff);
  prefix += static_cast<char>(header.size() >> 8);
  file_.write(prefix + header);
}

void NpyWriter::write(tensor::ConstMatrixView rows) {
  base::check(rows.dtype == tensor::Dtype::kF32 && rows.cols == cols_ && rows.rows <= left_,
              "rows of the announced shape");
  for (std::int64_t i = 0; i < rows.rows; ++i)
    file_.write(std::as_bytes(std::span(rows.row<float>(i), static_cast<std::size_t>(cols_))));
  left_ -= rows.rows;
}

void NpyWriter::finish() {
  base::check(left_ == 0, "as many rows as announced");
  file_.commit();
}

}  // namespace whit::report
