#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <numeric>

#include "data/content.h"
#include "data/rows.h"
#include "expect.h"

// A Parquet file and the first rows of it, where whit was built with Apache Arrow.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace whit;
  const data::fs::path file =
      data::fs::temp_directory_path() / fmt::format("whit_fuzz_{}.parquet", ::getpid());
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  accepts([&] {
    const auto rows = data::open_rows(file, {});
    std::vector<std::uint64_t> wanted(std::min<std::uint64_t>(rows->count(), 64));
    std::iota(wanted.begin(), wanted.end(), std::uint64_t{0});
    rows->read(wanted, [&](std::uint64_t row, data::Json columns) {
      accepts([&] { data::content_of(std::move(columns), {}, rows->name(row)); });
      return true;
    });
  });
  data::fs::remove(file);
  return 0;
}
