#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pickle/document.h"

namespace whit::pickle {

// The stack, marks and memo of a pickle, and the values made so far. What an operation finds wrong
// is thrown as kInput with the opcode and its byte.
class Machine {
 public:
  Machine(std::string_view bytes, const Policy& policy, const std::string& subject);

  // Where the machine is, for errors.
  void begin(unsigned char op, std::size_t at) {
    op_ = op;
    op_at_ = at;
  }
  [[noreturn]] void refuse(std::string_view found, std::string_view expected) const;
  const std::string& subject() const { return out_.subject_; }

  void push(ValueId id) { stack_.push_back(id); }
  void push(Kind kind, std::uint64_t payload) { push(add({kind, 0, payload})); }
  void push_integer(std::int64_t value);
  // A text or bytes: `size` bytes from `place` on.
  void push_view(Kind kind, std::uint64_t place, std::uint32_t size) {
    push(add({kind, size, place}));
  }
  void push_list(Kind kind, std::vector<ValueId> items);
  void push_global(std::string_view module, std::string_view name);
  // The object that the callable would make of the arguments, both on top of the stack.
  void push_object(bool named_arguments);
  void push_persistent();

  ValueId pop();
  ValueId top() const;
  std::vector<ValueId> pop_many(std::size_t count);
  std::vector<ValueId> pop_to_mark();
  void mark() { marks_.push_back(stack_.size()); }
  void pop_or_unmark();

  // Onto the value on top, of a kind or an object of a class that behaves so.
  void append(Kind kind, const std::vector<ValueId>& items);
  std::vector<ValueId> check_pairs(std::vector<ValueId> items) const;
  void build();

  void put(std::uint64_t key) { memo_[key] = top(); }
  void memoize() { put(memo_.size()); }
  void get(std::uint64_t key);

  std::string_view text_of(ValueId id) const;
  // Ends the reading: the value on top is the root.
  Document finish(std::size_t end);

 private:
  using Value = Document::Value;

  ValueId add(Value value);
  void need(std::size_t count) const;

  const Policy& policy_;
  Document out_;
  std::size_t op_at_ = 0;
  unsigned char op_ = 0;
  std::vector<ValueId> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint64_t, ValueId> memo_;
  std::vector<std::optional<ValueId>> small_integers_;
};

}  // namespace whit::pickle
