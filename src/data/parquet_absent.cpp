#include "base/error.h"
#include "data/rows.h"

namespace whit::data {

std::unique_ptr<RowSource> parquet_rows(const fs::path& path, const RowArgs&) {
  base::Error error(base::ErrorKind::kUnsupported, path.string(),
                    "a Parquet file, and this whit was built without Apache Arrow; expected a "
                    "build that found it, or rows as .jsonl");
  throw error.suggest(
      "run scripts/install_dependencies.sh parquet in the source folder, then "
      "make: the build finds Arrow in the pyarrow package that it installs");
}

}  // namespace whit::data
