#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/model_text.h"
#include "eval/windows.h"
#include "runtime/weights.h"

namespace whit::eval {

// The windows of a file for a model: its ids as read_eval_ids reads them, after the BOS token of
// the tokenizer or, without one, of config.json. text.tokenizer may be null where the file is rows
// of input_ids. Errors: those of read_eval_ids and cut_windows.
std::vector<Window> read_windows(const runtime::OpenModel& model, const data::ModelText& text,
                                 const std::filesystem::path& file, const std::string& column,
                                 const WindowArgs& args);

}  // namespace whit::eval
