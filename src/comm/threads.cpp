#include <condition_variable>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "comm/communicator.h"

namespace whit::comm {

namespace {

// Where the threads of one job meet.
struct Meeting {
  explicit Meeting(int ranks) : size(ranks), places(static_cast<std::size_t>(ranks)) {}

  const int size;
  std::mutex mutex;
  std::condition_variable changed;
  int arrived = 0;
  std::uint64_t round = 0;
  int aborted_by = -1;
  std::vector<std::vector<Bytes>> places;  // [from][to]
  std::span<const std::byte> shown;        // what the root of a broadcast has
};

class Threads final : public Communicator {
 public:
  Threads(std::shared_ptr<Meeting> meeting, int rank) : meeting_(std::move(meeting)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return meeting_->size; }
  int local_size() const override { return meeting_->size; }

  void broadcast(int root, std::span<std::byte> bytes) override {
    if (rank_ == root) meeting_->shown = bytes;
    barrier();
    if (rank_ != root) {
      base::check(meeting_->shown.size() == bytes.size(), "broadcast: one length everywhere");
      std::copy(meeting_->shown.begin(), meeting_->shown.end(), bytes.begin());
    }
    barrier();
  }

  std::vector<Bytes> all_to_all_v(std::vector<Bytes> send) override {
    base::check(send.size() == static_cast<std::size_t>(size()), "all_to_all_v: one for each rank");
    meeting_->places[static_cast<std::size_t>(rank_)] = std::move(send);
    barrier();
    std::vector<Bytes> received;
    for (auto& from : meeting_->places)
      received.push_back(std::move(from[static_cast<std::size_t>(rank_)]));
    barrier();
    return received;
  }

  void barrier() override {
    std::unique_lock lock(meeting_->mutex);
    const std::uint64_t round = meeting_->round;
    if (++meeting_->arrived == meeting_->size) {
      meeting_->arrived = 0;
      ++meeting_->round;
      meeting_->changed.notify_all();
    }
    meeting_->changed.wait(lock,
                           [&] { return meeting_->round != round || meeting_->aborted_by >= 0; });
    if (meeting_->aborted_by >= 0) fail_after(meeting_->aborted_by);
  }

  [[noreturn]] void abort(int /*exit_code*/) override {
    const std::lock_guard lock(meeting_->mutex);
    meeting_->aborted_by = rank_;
    meeting_->changed.notify_all();
    fail_after(rank_);
  }

 private:
  [[noreturn]] static void fail_after(int rank) {
    base::fail(base::ErrorKind::kInterrupted, "ranks", "rank {} ended the job", rank);
  }

  std::shared_ptr<Meeting> meeting_;
  int rank_;
};

}  // namespace

std::vector<std::unique_ptr<Communicator>> make_threads(int ranks) {
  base::check(ranks > 0, "make_threads: at least one rank");
  const auto meeting = std::make_shared<Meeting>(ranks);
  std::vector<std::unique_ptr<Communicator>> all;
  for (int rank = 0; rank < ranks; ++rank) all.push_back(std::make_unique<Threads>(meeting, rank));
  return all;
}

}  // namespace whit::comm
