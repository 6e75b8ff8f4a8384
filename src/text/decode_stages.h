#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "text/decoder.h"

namespace whit::text {

std::string replace_all(const Pattern& pattern, std::string_view content, std::string_view text,
                        RegexScratch& scratch);
std::string strip_ends(const Decoder::Strip& strip, std::string_view text);

// The stages of a decoder's run. Each passes on to `next`, which must outlive it. early: as in
// Decoder::Run; prepared: the tokens come from Decoder::prepare().
std::unique_ptr<DecodeStage> make_sink(std::string& out);
std::unique_ptr<DecodeStage> make_stage(const Decoder::Replace& step, DecodeStage& next, bool early,
                                        bool prepared);
std::unique_ptr<DecodeStage> make_stage(const Decoder::Strip& step, DecodeStage& next, bool early,
                                        bool prepared);
std::unique_ptr<DecodeStage> make_stage(const Decoder::Metaspace& step, DecodeStage& next,
                                        bool early, bool prepared);
std::unique_ptr<DecodeStage> make_stage(const Decoder::Suffix& step, DecodeStage& next, bool early,
                                        bool prepared);
std::unique_ptr<DecodeStage> make_stage(const Decoder::ByteFallback& step, DecodeStage& next,
                                        bool early, bool prepared);
std::unique_ptr<DecodeStage> make_stage(const Decoder::Fuse& step, DecodeStage& next, bool early,
                                        bool prepared);
std::unique_ptr<DecodeStage> make_stage(const Decoder::Bytes& step, DecodeStage& next, bool early,
                                        bool prepared);
std::unique_ptr<DecodeStage> make_stage(const Decoder::Spaces& step, DecodeStage& next, bool early,
                                        bool prepared);

}  // namespace whit::text
