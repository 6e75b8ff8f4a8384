#include "text/post_processor.h"

#include "text/limits.h"

namespace whit::text {

namespace {

void read_template(const Field& field, Frame& frame) {
  const Field pieces = field.at("single");
  bool text_seen = false;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const Field piece = pieces.item(i);
    if (const auto sequence = piece.find("Sequence")) {
      const std::string id = sequence->at("id").string();
      if (id != "A" || text_seen) {
        sequence->fail_unsupported("sequence {:?} in the template of a single text", id);
      }
      text_seen = true;
      continue;
    }
    const std::string name = piece.at("SpecialToken").at("id").string();
    const Field ids = field.at("special_tokens").at(name).at("ids");
    for (std::size_t k = 0; k < ids.size(); ++k) {
      const std::int64_t id = ids.item(k).integer();
      if (id < 0 || id >= kMaxTokenId) ids.item(k).fail_input("{}; expected a token id", id);
      (text_seen ? frame.after : frame.before).push_back(static_cast<TokenId>(id));
    }
  }
  if (!text_seen) pieces.fail_input("no sequence \"A\"; expected the text's place");
}

TokenId id_of_pair(const Field& field) {
  if (field.size() != 2) field.fail_input("{} items; expected a token and its id", field.size());
  const std::int64_t id = field.item(1).integer();
  if (id < 0 || id >= kMaxTokenId) field.item(1).fail_input("{}; expected a token id", id);
  return static_cast<TokenId>(id);
}

void add_processor(const Field& field, int depth, std::optional<Frame>& frame) {
  const std::string type = field.at("type").string();
  if (type == "Sequence") {
    if (depth >= kMaxNesting) field.fail_input("nested {} deep; expected less", depth);
    const Field items = field.at("processors");
    for (std::size_t i = 0; i < items.size(); ++i) add_processor(items.item(i), depth + 1, frame);
  } else if (type == "TemplateProcessing") {
    // The reference reads a second one as the template of a pair.
    if (frame) field.fail_unsupported("a second template after a first");
    read_template(field, frame.emplace());
  } else if (type == "RobertaProcessing" || type == "BertProcessing") {
    if (frame) field.fail_unsupported("{:?} after a template", type);
    frame.emplace();
    frame->before.push_back(id_of_pair(field.at("cls")));
    frame->after.push_back(id_of_pair(field.at("sep")));
  } else if (type != "ByteLevel") {
    field.fail_unsupported(
        "post-processor {:?}; whit knows Sequence, TemplateProcessing, ByteLevel, "
        "RobertaProcessing, BertProcessing",
        type);
  }
}

}  // namespace

Frame read_post_processor(std::optional<Field> field) {
  std::optional<Frame> frame;
  if (field) add_processor(*field, 0, frame);
  return frame.value_or(Frame{});
}

}  // namespace whit::text
