#include <mpi.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>

#include "base/error.h"
#include "comm/communicator.h"

namespace whit::comm {

namespace {

// MPI counts are ints.
constexpr std::size_t kChunk = std::size_t{1} << 30;

void require(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  std::string text(MPI_MAX_ERROR_STRING, '\0');
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  text.resize(static_cast<std::size_t>(length));
  base::fail(base::ErrorKind::kResource, what, "{}; expected every rank to answer", text);
}

int chunk_of(std::size_t left) {
  return static_cast<int>(std::min(left, kChunk));
}

class Mpi final : public Communicator {
 public:
  Mpi() {
    int provided = 0;
    require(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    MPI_Comm local = MPI_COMM_NULL;
    require(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &local),
            "MPI_Comm_split_type");
    MPI_Comm_size(local, &local_size_);
    MPI_Comm_free(&local);
  }
  ~Mpi() override { MPI_Finalize(); }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int local_size() const override { return local_size_; }

  void broadcast(int root, std::span<std::byte> bytes) override {
    for (std::size_t at = 0; at < bytes.size(); at += kChunk)
      require(
          MPI_Bcast(bytes.data() + at, chunk_of(bytes.size() - at), MPI_BYTE, root, MPI_COMM_WORLD),
          "MPI_Bcast");
  }

  std::vector<Bytes> all_to_all_v(std::vector<Bytes> send) override {
    base::check(send.size() == static_cast<std::size_t>(size_), "all_to_all_v: one for each rank");
    std::vector<std::uint64_t> out, in(send.size());
    for (const auto& bytes : send) out.push_back(bytes.size());
    require(MPI_Alltoall(out.data(), 1, MPI_UINT64_T, in.data(), 1, MPI_UINT64_T, MPI_COMM_WORLD),
            "MPI_Alltoall");
    std::vector<Bytes> received(send.size());
    std::vector<MPI_Request> requests;
    for (int from = 0; from < size_; ++from) {
      auto& bytes = received[static_cast<std::size_t>(from)];
      if (from == rank_) {
        bytes = std::move(send[static_cast<std::size_t>(from)]);
        continue;
      }
      bytes.resize(in[static_cast<std::size_t>(from)]);
      for (std::size_t at = 0; at < bytes.size(); at += kChunk)
        require(MPI_Irecv(bytes.data() + at, chunk_of(bytes.size() - at), MPI_BYTE, from, 0,
                          MPI_COMM_WORLD, &requests.emplace_back()),
                "MPI_Irecv");
    }
    for (int to = 0; to < size_; ++to) {
      if (to == rank_) continue;
      const auto& bytes = send[static_cast<std::size_t>(to)];
      for (std::size_t at = 0; at < bytes.size(); at += kChunk)
        require(MPI_Isend(bytes.data() + at, chunk_of(bytes.size() - at), MPI_BYTE, to, 0,
                          MPI_COMM_WORLD, &requests.emplace_back()),
                "MPI_Isend");
    }
    require(MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE),
            "MPI_Waitall");
    return received;
  }

  void barrier() override { require(MPI_Barrier(MPI_COMM_WORLD), "MPI_Barrier"); }

  [[noreturn]] void abort(int exit_code) override {
    MPI_Abort(MPI_COMM_WORLD, exit_code);
    std::_Exit(exit_code);
  }

 private:
  int rank_ = 0, size_ = 1, local_size_ = 1;
};

}  // namespace

std::string_view mpi_library() {
  static const std::string kName = [] {
    std::string text(MPI_MAX_LIBRARY_VERSION_STRING, '\0');
    int length = 0;
    MPI_Get_library_version(text.data(), &length);
    text.resize(static_cast<std::size_t>(length));
    return text.substr(0, text.find_first_of(",\n"));
  }();
  return kName;
}

std::unique_ptr<Communicator> make_mpi() {
  return std::make_unique<Mpi>();
}

}  // namespace whit::comm
