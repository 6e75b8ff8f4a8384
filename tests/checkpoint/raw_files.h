#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"

// Files made byte by byte, so that a test can make them wrong.
namespace whit::checkpoint::testing {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "whit-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const fs::path& path() const { return path_; }
  fs::path write(const std::string& name, std::string_view contents) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary)
        .write(contents.data(), static_cast<long>(contents.size()));
    return path_ / name;
  }

 private:
  fs::path path_;
};

// Length field, header as it is, data.
inline std::string safetensors(std::string_view header, std::string_view data) {
  std::string file;
  for (unsigned i = 0; i < 8; ++i)
    file.push_back(static_cast<char>(header.size() >> (8 * i) & 0xff));
  return file.append(header).append(data);
}

// A shard with one U8 tensor of 4 bytes for each name.
inline std::string shard(const std::vector<std::string>& names) {
  std::string header;
  for (std::size_t i = 0; i < names.size(); ++i)
    header += (i == 0 ? "{\"" : ",\"") + names[i] +
              R"(":{"dtype":"U8","shape":[4],"data_offsets":[)" + std::to_string(4 * i) + "," +
              std::to_string(4 * i + 4) + "]}";
  return safetensors(header + "}", std::string(4 * names.size(), 'x'));
}

// `run` must throw base::Error of `kind` whose subject and detail contain the given text.
inline void expect_error(base::ErrorKind kind, std::string_view subject, std::string_view detail,
                         const std::function<void()>& run) {
  try {
    run();
    ADD_FAILURE() << "no error; expected " << subject << ": " << detail;
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_NE(error.subject().find(subject), std::string::npos) << error.what();
    EXPECT_NE(error.detail().find(detail), std::string::npos) << error.what();
  }
}

}  // namespace whit::checkpoint::testing
