#include "formats/stored_module.h"

#include <cmath>

#include "base/error.h"

namespace whit::formats {

std::string StoredModule::name(std::string_view suffix) const {
  return module + "." + std::string(suffix);
}

std::string StoredModule::subject(std::string_view suffix) const {
  const std::string tensor = name(suffix);
  const std::string path = checkpoint.has(tensor) ? checkpoint.file_of(tensor).path().string()
                                                  : checkpoint.folder().string();
  return path + ": tensor " + tensor;
}

const scheme::QuantArgs* StoredModule::args(scheme::NumberType type) const {
  return group != nullptr && group->scheme.weights.type == type ? &group->scheme.weights : nullptr;
}

std::vector<float> StoredModule::scales(std::string_view suffix) const {
  const tensor::TensorView stored = view(suffix);
  if (!numeric::is_floating(stored.dtype))
    base::fail(base::ErrorKind::kInput, subject(suffix), "dtype {}; expected a floating type",
               numeric::name_of(stored.dtype));
  std::vector<float> values = tensor::to_f32_vector(stored);
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      base::fail(base::ErrorKind::kInput, subject(suffix),
                 "element {} is {}; expected finite scales", i, values[i]);
  return values;
}

}  // namespace whit::formats
