#include "data/pandas_frame.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace whit::data {

namespace {

using base::ErrorKind;
using base::fail;
using pickle::Array;
using pickle::Document;
using pickle::Kind;
using pickle::ValueId;

constexpr std::uint64_t kMaxColumns = 1U << 16;

constexpr std::string_view kGlobals[] = {
    "builtins slice", "__builtin__ slice", "functools partial", "collections OrderedDict",
    // tables
    "pandas DataFrame", "pandas.core.frame DataFrame", "pandas Series", "pandas.core.series Series",
    "pandas.core.internals.managers BlockManager",
    "pandas.core.internals.managers SingleBlockManager", "pandas.core.internals.blocks new_block",
    "pandas._libs.internals _unpickle_block", "pandas._libs.internals BlockPlacement",
    // indices
    "pandas.core.indexes.base Index", "pandas Index", "pandas.core.indexes.base _new_Index",
    "pandas.core.indexes.range RangeIndex", "pandas RangeIndex",
    "pandas.core.indexes.numeric Int64Index", "pandas.core.indexes.numeric UInt64Index",
    "pandas.core.indexes.numeric Float64Index", "pandas.core.indexes.multi MultiIndex",
    "pandas MultiIndex", "pandas.core.indexes.category CategoricalIndex", "pandas CategoricalIndex",
    "pandas.core.indexes.datetimes DatetimeIndex", "pandas DatetimeIndex",
    "pandas.core.indexes.datetimes _new_DatetimeIndex", "pandas.core.indexes.frozen FrozenList",
    // columns of texts
    "pandas.core.arrays.string_ StringArray", "pandas.core.arrays.string_ StringDtype",
    "pandas StringDtype", "pandas.arrays StringArray",
    "pandas.core.arrays.string_arrow ArrowStringArray", "pandas.arrays ArrowStringArray",
    "pandas.core.arrays.string_arrow ArrowStringArrayNumpySemantics",
    "pandas.core.arrays.string_ StringArrayNumpySemantics", "pandas._libs.missing NA", "pandas NA",
    "pyarrow.lib _restore_array", "pyarrow.lib chunked_array", "pyarrow.lib py_buffer",
    "pyarrow.lib type_for_alias",
    // columns that may be there and are not read
    "pandas._libs.arrays __pyx_unpickle_NDArrayBacked", "pandas.core.arrays.boolean BooleanArray",
    "pandas.core.arrays.boolean BooleanDtype", "pandas BooleanDtype", "pandas.arrays BooleanArray",
    "pandas.core.arrays.integer IntegerArray", "pandas.arrays IntegerArray",
    "pandas.core.arrays.integer Int8Dtype", "pandas.core.arrays.integer Int16Dtype",
    "pandas.core.arrays.integer Int32Dtype", "pandas.core.arrays.integer Int64Dtype",
    "pandas Int8Dtype", "pandas Int16Dtype", "pandas Int32Dtype", "pandas Int64Dtype",
    "pandas.core.arrays.floating FloatingArray", "pandas.core.arrays.floating Float32Dtype",
    "pandas.core.arrays.floating Float64Dtype", "pandas.arrays FloatingArray",
    "pandas Float32Dtype", "pandas Float64Dtype", "pandas.core.arrays.categorical Categorical",
    "pandas Categorical", "pandas.core.dtypes.dtypes CategoricalDtype", "pandas CategoricalDtype",
    "pandas.core.arrays.datetimes DatetimeArray", "pandas.arrays DatetimeArray",
    "pandas.core.arrays.timedeltas TimedeltaArray", "pandas.arrays TimedeltaArray",
    "pandas.core.dtypes.dtypes DatetimeTZDtype", "pandas DatetimeTZDtype",
    "pandas._libs.tslibs.offsets Day", "pandas.tseries.offsets Day", "pytz _UTC",
    "datetime timedelta", "datetime timezone"};

std::span<const ValueId> arguments_of(const Document& document, ValueId id) {
  return document.items(document.object(id).arguments);
}

// The texts of a string column: an ndarray of objects within pandas' own array, or Arrow's.
struct Texts {
  std::optional<Array> objects;
  std::optional<std::vector<ArrowTexts>> arrow;
};

// The first array in what was set on one of pandas' arrays of texts.
Texts find_texts(const Document& document, ValueId state) {
  std::vector<ValueId> candidates;
  if (document.kind(state) == Kind::kDict) {
    for (const char* name : {"_pa_array", "_data", "_ndarray"}) {
      if (const auto found = document.find(state, name)) candidates.push_back(*found);
    }
  } else {
    const auto items = document.items(state);
    candidates.assign(items.begin(), items.end());
  }
  for (const ValueId id : candidates) {
    if (pickle::is_array(document, id)) return {pickle::read_array(document, id), {}};
    if (call_of(document, id).starts_with("pyarrow.lib ")) {
      return {{}, read_arrow_texts(document, id)};
    }
  }
  document.refuse(state, "the state of an array of texts", "an array");
}

Texts read_texts(const Document& document, ValueId id) {
  if (pickle::is_array(document, id)) return {pickle::read_array(document, id), {}};
  const std::string_view call = call_of(document, id);
  bool texts = call.find(" StringArray") != std::string_view::npos ||
               call.find(" ArrowStringArray") != std::string_view::npos;
  if (call.ends_with(" __pyx_unpickle_NDArrayBacked")) {
    const auto arguments = arguments_of(document, id);
    texts = !arguments.empty() && document.kind(arguments[0]) == Kind::kGlobal &&
            document.global(arguments[0]).find("StringArray") != std::string_view::npos;
  }
  const auto state = document.kind(id) == Kind::kObject ? document.object(id).state : std::nullopt;
  if (!texts || !state) return {};
  return find_texts(document, *state);
}

std::string name_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.dump();
}

}  // namespace

const std::vector<std::string_view>& table_globals() {
  static const std::vector<std::string_view> kAll = [] {
    std::vector<std::string_view> all(std::begin(kGlobals), std::end(kGlobals));
    const auto numpy = pickle::numpy_globals();
    all.insert(all.end(), numpy.begin(), numpy.end());
    return all;
  }();
  return kAll;
}

PandasFrame::PandasFrame(const Document& document) : document_(document) {
  const ValueId root = document.root();
  if (!call_of(document, root).ends_with(" DataFrame")) {
    document.refuse(root, "the pickle", "a pandas DataFrame or a list of dicts");
  }
  const auto state = document.object(root).state;
  if (!state) document.refuse(root, "a DataFrame without a state", "one with data");
  auto manager = document.find(*state, "_mgr");
  if (!manager) manager = document.find(*state, "_data");
  if (!manager || !call_of(document, *manager).ends_with(" BlockManager")) {
    document.refuse(*state, "the state of a DataFrame", "a BlockManager in it");
  }
  const auto arguments = arguments_of(document, *manager);
  const auto old_state = document.object(*manager).state;
  if (arguments.size() == 2) {
    const auto axes = document.items(arguments[1]);
    if (axes.empty()) document.refuse(arguments[1], "the axes", "two");
    read_column_names(axes[0]);
    read_blocks(arguments[0]);
  } else if (old_state) {
    read_old_blocks(*old_state);
  } else {
    document.refuse(*manager, "a BlockManager without blocks", "its blocks and axes");
  }
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (!places_[i].known) {
      fail(ErrorKind::kInput, document.subject(), "column {:?} is in no block; expected one",
           columns_[i]);
    }
  }
}

void PandasFrame::read_blocks(ValueId blocks) {
  for (const ValueId block : document_.items(blocks)) {
    if (document_.kind(block) != Kind::kObject) document_.refuse(block, "a block", "a call");
    const auto arguments = arguments_of(document_, block);
    if (arguments.size() < 2) document_.refuse(block, "a block", "values and their columns");
    add_block(arguments[0], arguments[1]);
  }
}

// (axes, values, items, {"0.14.1": {"axes": ..., "blocks": [{"values": ..., "mgr_locs": ...}]}})
void PandasFrame::read_old_blocks(ValueId state) {
  const auto parts = document_.items(state);
  const auto extra = parts.size() == 4 ? document_.find(parts[3], "0.14.1") : std::nullopt;
  const auto axes = extra ? document_.find(*extra, "axes") : std::nullopt;
  const auto blocks = extra ? document_.find(*extra, "blocks") : std::nullopt;
  if (!axes || !blocks || document_.items(*axes).empty()) {
    document_.refuse(state, "the state of a BlockManager", "that of pandas 0.14 to 1.2");
  }
  read_column_names(document_.items(*axes)[0]);
  for (const ValueId block : document_.items(*blocks)) {
    const auto values = document_.find(block, "values");
    const auto columns = document_.find(block, "mgr_locs");
    if (!values || !columns) document_.refuse(block, "a block", "values and mgr_locs");
    add_block(*values, *columns);
  }
}

void PandasFrame::set_rows(std::uint64_t rows) {
  if (rows_known_ && rows != rows_) {
    fail(ErrorKind::kInput, document_.subject(), "a block of {} rows; expected {} as others have",
         rows, rows_);
  }
  rows_ = rows;
  rows_known_ = true;
}

void PandasFrame::add_block(ValueId values, ValueId placement) {
  Texts texts = read_texts(document_, values);
  std::uint64_t items = 1;
  if (texts.objects) {
    const auto& shape = texts.objects->shape;
    if (shape.empty() || shape.size() > 2) {
      fail(ErrorKind::kInput, document_.subject(), "a block of {} dimensions; expected 1 or 2",
           shape.size());
    }
    if (shape.size() == 2) items = shape[0];
    set_rows(shape.back());
    blocks_.emplace_back(std::move(*texts.objects));
  } else if (texts.arrow) {
    set_rows(length_of(*texts.arrow));
    blocks_.emplace_back(std::move(*texts.arrow));
  } else {
    const auto columns = placement_of(placement, kMaxColumns);
    blocks_.emplace_back(Unread{});
    place(columns, columns.size());
    return;
  }
  place(placement_of(placement, items), items);
}

// slice(start, stop, step), or an array of numbers.
std::vector<std::int64_t> PandasFrame::placement_of(ValueId id, std::uint64_t items) const {
  if (call_of(document_, id).ends_with(" BlockPlacement")) {
    const auto arguments = arguments_of(document_, id);
    if (arguments.size() != 1) document_.refuse(id, "a block's columns", "a slice or an array");
    id = arguments[0];
  }
  std::vector<std::int64_t> columns;
  if (call_of(document_, id).ends_with(" slice")) {
    const auto bounds = arguments_of(document_, id);
    if (bounds.size() != 3) document_.refuse(id, "a block's columns", "slice(start, stop, step)");
    const std::int64_t start = document_.integer(bounds[0]);
    // A slice that runs down to column 0 has no stop.
    const bool open = document_.kind(bounds[1]) == Kind::kNone;
    const std::int64_t stop = open ? -1 : document_.integer(bounds[1]);
    const std::int64_t step =
        document_.kind(bounds[2]) == Kind::kNone ? 1 : document_.integer(bounds[2]);
    const auto limit = static_cast<std::int64_t>(kMaxColumns);
    if (step == 0 || std::abs(step) > limit || start < 0 || start > limit || stop < -1 ||
        stop > limit || (open && step > 0)) {
      document_.refuse(id, "a block's columns", "a slice of columns");
    }
    for (std::int64_t at = start; step > 0 ? at < stop : at > stop; at += step) {
      columns.push_back(at);
    }
    return columns;
  }
  const Array array = pickle::read_array(document_, id);
  if (array.shape.size() != 1 || array.count() > items || array.type.kind != 'i') {
    document_.refuse(id, "a block's columns", "a number for each");
  }
  for (std::uint64_t i = 0; i < array.count(); ++i) {
    columns.push_back(std::get<std::int64_t>(pickle::number_at(document_, array, i)));
  }
  return columns;
}

void PandasFrame::place(const std::vector<std::int64_t>& columns, std::uint64_t items) {
  if (columns.size() != items) {
    fail(ErrorKind::kInput, document_.subject(),
         "a block of {} columns is placed at {}; expected "
         "as many",
         items, columns.size());
  }
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const auto column = static_cast<std::uint64_t>(columns[i]);
    if (columns[i] < 0 || column >= places_.size() || places_[column].known) {
      fail(ErrorKind::kInput, document_.subject(),
           "a block lies at column {}; expected 0 to {}, each once", columns[i],
           static_cast<std::int64_t>(places_.size()) - 1);
    }
    places_[column] = {blocks_.size() - 1, i, true};
  }
}

// _new_Index(Index, {"data": array}), or a RangeIndex.
void PandasFrame::read_column_names(ValueId axis) {
  const auto arguments = document_.kind(axis) == Kind::kObject ? arguments_of(document_, axis)
                                                               : std::span<const ValueId>();
  if (!call_of(document_, axis).ends_with(" _new_Index") || arguments.size() != 2) {
    document_.refuse(axis, "the index of the columns", "an Index");
  }
  const auto data = document_.find(arguments[1], "data");
  const auto stop = document_.find(arguments[1], "stop");
  if (data) {
    const Texts texts = read_texts(document_, *data);
    if (texts.arrow) {
      for (std::uint64_t i = 0; i < std::min(length_of(*texts.arrow), kMaxColumns + 1); ++i) {
        columns_.push_back(name_of(text_at(*texts.arrow, i)));
      }
    } else if (texts.objects && texts.objects->shape.size() == 1) {
      const Json names = json_of(document_, *data);
      for (const Json& name : names) columns_.push_back(name_of(name));
    } else {
      document_.refuse(*data, "the names of the columns", "texts or numbers");
    }
  } else if (stop) {
    const std::int64_t count = document_.integer(*stop);
    for (std::int64_t i = 0; i < std::min<std::int64_t>(count, kMaxColumns + 1); ++i) {
      columns_.push_back(std::to_string(i));
    }
  } else {
    document_.refuse(arguments[1], "the index of the columns", "names");
  }
  if (columns_.size() > kMaxColumns) {
    fail(ErrorKind::kUnsupported, document_.subject(), "more than {} columns; expected fewer",
         kMaxColumns);
  }
  places_.resize(columns_.size());
}

bool PandasFrame::is_read(std::size_t column) const {
  const Values& values = blocks_[places_[column].block];
  if (std::holds_alternative<Unread>(values)) return false;
  const auto* array = std::get_if<Array>(&values);
  return array == nullptr ||
         std::string_view("iufbO").find(array->type.kind) != std::string_view::npos;
}

Json PandasFrame::at(std::uint64_t row, std::size_t column) const {
  const Place& place = places_[column];
  const Values& values = blocks_[place.block];
  base::check(row < rows_, "a row lies within its table");
  if (const auto* texts = std::get_if<std::vector<ArrowTexts>>(&values))
    return text_at(*texts, row);
  const auto& array = std::get<Array>(values);
  const std::uint64_t items = array.shape.size() == 2 ? array.shape[0] : 1;
  const std::uint64_t index =
      array.fortran_order ? row * items + place.item : place.item * rows_ + row;
  if (array.type.kind == 'O') return json_of(document_, array.objects[index]);
  return json_of(pickle::number_at(document_, array, index));
}

}  // namespace whit::data
