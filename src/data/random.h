#pragma once

#include "base/random.h"

namespace whit::data {

using base::Random;

}  // namespace whit::data
