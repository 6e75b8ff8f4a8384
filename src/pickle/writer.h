#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace whit::pickle {

// Writes a pickle value by value; NumPy 1 and 2 and every Python 3 load protocol 3, which arrays
// need, and torch.load wants 2.
// Containers: begin, their values, end; a dict's are key, value, key, value. The same calls give
// the same bytes.
class Writer {
 public:
  explicit Writer(int protocol = 3);

  void none();
  void boolean(bool value);
  void integer(std::int64_t value);
  void real(double value);
  void text(std::string_view value);
  void begin_list();
  void end_list();
  void begin_tuple();
  void end_tuple();
  void begin_dict();
  void end_dict();
  // A name; what is called on a tuple is the name, the tuple, then call().
  void global(std::string_view module, std::string_view name);
  void call();
  // Turns the value on top into a persistent id.
  void persistent();
  // numpy.ndarray of float32 or float64, little-endian, C order. An empty shape: one number.
  enum class Float : std::uint8_t { kF32, kF64 };
  void array(Float type, std::span<const std::uint64_t> shape, std::span<const double> values);
  // A 0-d numpy.ndarray of one object: begin, the object, end.
  void begin_object_array();
  void end_object_array();

  // Ends the pickle.
  std::string finish();

 private:
  void op(char code) { out_ += code; }
  void little_endian(std::uint64_t value, int bytes);
  void bytes(std::string_view value);
  void shape_of(std::span<const std::uint64_t> shape);
  // numpy's empty array, which a state then fills.
  void reconstruct();
  void dtype(char which);
  // Puts the value on top under `key` at its first use; later uses get it.
  bool recall(std::uint8_t key);
  void remember(std::uint8_t key);

  std::string out_;
  std::uint32_t remembered_ = 0;
};

}  // namespace whit::pickle
