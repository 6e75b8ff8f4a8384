#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace whit::base {

// One thread that does what it is handed, in order, beside the caller. What a task throws is thrown
// by the caller's next call; tasks after it are not done.
class Background {
 public:
  // most_waiting: tasks that may wait; the next caller waits with them.
  explicit Background(std::size_t most_waiting);
  // Finishes what was handed over.
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  void post(std::function<void()> task);
  // Until all is done.
  void drain();

 private:
  void work();
  void rethrow();

  const std::size_t most_waiting_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool busy_ = false;
  bool closing_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace whit::base
