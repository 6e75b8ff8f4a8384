#include "jinja/json.h"

#include "base/error.h"
#include "jinja/number.h"
#include "jinja/utf8.h"

namespace whit::jinja {

namespace {

using base::ErrorKind;

constexpr int kMaxDepth = 100;

[[noreturn]] void fail_deep(const std::string& subject) {
  base::fail(ErrorKind::kInput, subject, "nested deeper than {} levels; expected no more",
             kMaxDepth);
}

// Builds values while nlohmann's parser reads.
class Builder {
 public:
  explicit Builder(const std::string& subject) : subject_(subject), run_(Limits{}, subject) {}

  bool null() { return put(Value(None{})); }
  bool boolean(bool value) { return put(Value(value)); }
  bool number_integer(Json::number_integer_t value) { return put(Value(std::int64_t{value})); }
  bool number_unsigned(Json::number_unsigned_t value) { return put(Value(Int{value})); }
  bool number_float(Json::number_float_t value, const std::string& digits) {
    if (digits.find_first_not_of("-0123456789") != std::string::npos) return put(Value(value));
    return put(Value(parse_int(run_, digits, 10).value_or(0)));
  }
  bool string(std::string& text) { return put(Value::text(std::move(text))); }
  bool binary(Json::binary_t&) { return false; }
  bool start_object(std::size_t) { return open(true); }
  bool start_array(std::size_t) { return open(false); }
  bool key(std::string& text) {
    open_.back().key = std::move(text);
    return true;
  }
  bool end_object() {
    auto dict = std::make_shared<Dict>(std::move(open_.back().entries));
    open_.pop_back();
    return put(Value(std::shared_ptr<const Dict>(std::move(dict))));
  }
  bool end_array() {
    Value list = Value::list(std::move(open_.back().items));
    open_.pop_back();
    return put(std::move(list));
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) {
    base::fail(ErrorKind::kInput, subject_, "no valid JSON ({}); expected a JSON document",
               error.what());
  }
  Value take() { return std::move(root_); }

 private:
  struct Open {
    bool is_object = false;
    Dict entries;
    std::vector<Value> items;
    std::string key;
  };

  bool open(bool is_object) {
    if (open_.size() >= kMaxDepth) fail_deep(subject_);
    open_.emplace_back();
    open_.back().is_object = is_object;
    return true;
  }
  bool put(Value value) {
    if (open_.empty())
      root_ = std::move(value);
    else if (open_.back().is_object)
      open_.back().entries.set(std::move(open_.back().key), std::move(value));
    else
      open_.back().items.push_back(std::move(value));
    return true;
  }

  const std::string& subject_;
  const Run run_;
  std::vector<Open> open_;
  Value root_;
};

Value convert(const Json& json, const std::string& subject, int depth) {
  if (depth > kMaxDepth) fail_deep(subject);
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value(json.get<bool>());
    case Json::value_t::number_integer:
      return Value(json.get<std::int64_t>());
    case Json::value_t::number_unsigned:
      return Value(Int{json.get<std::uint64_t>()});
    case Json::value_t::number_float:
      return Value(json.get<double>());
    case Json::value_t::string: {
      const auto& text = json.get_ref<const std::string&>();
      if (!is_utf8(text))
        base::fail(ErrorKind::kInput, subject, "a text that is no UTF-8; expected UTF-8");
      return Value::text(text);
    }
    case Json::value_t::array: {
      std::vector<Value> items;
      for (const auto& item : json) items.push_back(convert(item, subject, depth + 1));
      return Value::list(std::move(items));
    }
    case Json::value_t::object: {
      auto dict = std::make_shared<Dict>();
      for (const auto& [key, value] : json.items())
        dict->set(key, convert(value, subject, depth + 1));
      return Value(std::shared_ptr<const Dict>(std::move(dict)));
    }
    default:
      return Value(None{});
  }
}

}  // namespace

Value parse_json(std::string_view text, const std::string& subject) {
  if (text.find('\0') != std::string_view::npos)
    base::fail(ErrorKind::kInput, subject, "a NUL byte; expected a JSON document");
  Builder builder(subject);
  Json::sax_parse(text, &builder);
  return builder.take();
}

Value from_json(const Json& json, const std::string& subject) {
  return convert(json, subject, 0);
}

}  // namespace whit::jinja
