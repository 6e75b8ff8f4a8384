#include "runtime/generate.h"

#include <chrono>
#include <memory>

#include "base/file.h"
#include "model/forward.h"
#include "runtime/stop_scanner.h"
#include "text/stream_decoder.h"

namespace whit::runtime {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void add_ids(const nlohmann::json& value, const std::string& subject,
             std::set<text::TokenId>& ids) {
  if (value.is_array()) {
    for (const auto& entry : value) add_ids(entry, subject, ids);
    return;
  }
  if (!value.is_number_integer())
    base::fail(base::ErrorKind::kInput, subject, "{}; expected a token id or a list of them",
               value.dump());
  ids.insert(value.get<text::TokenId>());
}

// The forward of one growing sequence.
class Decoder {
 public:
  Decoder(compute::Backend& backend, const model::ModelSpec& spec, model::WeightSource& weights,
          const model::Serving* serving)
      : backend_(backend),
        spec_(spec),
        weights_(weights),
        serving_(serving),
        cache_(backend, spec.layers.size()) {}

  // Appends `ids` and returns the logits of the last one, on the host.
  tensor::Tensor advance(std::span<const text::TokenId> ids) {
    model::Sequences sequences;
    sequences.append(ids, static_cast<std::int32_t>(length_));
    length_ += static_cast<std::int64_t>(ids.size());
    const auto store = model::make_memory_store(backend_);
    const auto runner = model::make_serving_runner(backend_, weights_, serving_);
    model::ForwardContext context{backend_, weights_, *store, sequences, *runner, &cache_};
    context.serving = serving_;
    model::forward_embedding(context, spec_);
    for (const auto& layer : spec_.layers) {
      model::forward_layer(context, layer);
      weights_.release(layer.index);
    }
    const auto logits = model::forward_head(context, spec_, sequences.tokens() - 1, 1);
    return backend_.memory().download(logits.view());
  }
  std::int64_t length() const { return length_; }

 private:
  compute::Backend& backend_;
  const model::ModelSpec& spec_;
  model::WeightSource& weights_;
  const model::Serving* serving_;
  model::KvCache cache_;
  std::int64_t length_ = 0;
};

void check_prompt(const model::ModelSpec& spec, const std::vector<text::TokenId>& prompt) {
  using base::ErrorKind;
  const auto size = static_cast<std::int64_t>(prompt.size());
  if (size == 0) base::fail(ErrorKind::kUsage, "--prompt", "no tokens; expected at least one");
  if (size > spec.max_position)
    base::fail(ErrorKind::kUsage, "--prompt",
               "{} tokens; expected at most {}, the model's positions", size, spec.max_position);
  for (const auto id : prompt)
    if (id < 0 || id >= spec.vocabulary)
      base::fail(ErrorKind::kInput, "prompt", "token id {}; expected 0 to {}", id,
                 spec.vocabulary - 1);
}

}  // namespace

std::set<text::TokenId> ending_ids(const checkpoint::Checkpoint& checkpoint,
                                   const text::Tokenizer* tokenizer) {
  std::set<text::TokenId> ids;
  const auto path = checkpoint.folder() / "generation_config.json";
  if (std::filesystem::exists(path)) {
    const auto json = nlohmann::json::parse(base::read_text_file(path), nullptr, false);
    if (!json.is_object())
      base::fail(base::ErrorKind::kInput, path.string(), "no JSON object; expected one");
    if (json.contains("eos_token_id") && !json["eos_token_id"].is_null())
      add_ids(json["eos_token_id"], path.string() + ": eos_token_id", ids);
  }
  const auto& config = checkpoint.config();
  if (ids.empty() && config.contains("eos_token_id") && !config["eos_token_id"].is_null())
    add_ids(config["eos_token_id"], "config.json: eos_token_id", ids);
  if (ids.empty() && tokenizer != nullptr && tokenizer->eos()) ids.insert(*tokenizer->eos());
  return ids;
}

Generation generate(compute::Backend& backend, const model::ModelSpec& spec,
                    model::WeightSource& weights, const text::Tokenizer& tokenizer,
                    const std::vector<text::TokenId>& prompt, const GenerateArgs& args,
                    const std::function<void(std::string_view)>& on_text,
                    const base::CancelToken& cancel) {
  check_prompt(spec, prompt);
  Generation result;
  result.prompt_tokens = static_cast<std::int64_t>(prompt.size());
  Sampler sampler(args.sampling);
  StopScanner scanner(args.stop);
  text::StreamDecoder stream(tokenizer, true);
  const auto show = [&](const std::string& piece) {
    result.text += piece;
    if (!piece.empty()) on_text(piece);
  };

  Decoder decoder(backend, spec, weights, args.serving);
  auto start = Clock::now();
  auto logits = decoder.advance(prompt);
  result.prompt_seconds = seconds_since(start);
  start = Clock::now();
  while (static_cast<std::int64_t>(result.ids.size()) < args.max_new_tokens) {
    cancel.throw_if_cancelled();
    const text::TokenId id =
        sampler.next({logits.as<float>(), static_cast<std::size_t>(spec.vocabulary)});
    result.ids.push_back(id);
    result.stopped = args.eos.contains(id);
    if (result.stopped) break;
    show(scanner.push(stream.push(id)));
    result.stopped = scanner.stopped();
    const bool full = static_cast<std::int64_t>(result.ids.size()) == args.max_new_tokens ||
                      decoder.length() == spec.max_position;
    if (result.stopped || full) break;
    logits = decoder.advance({&id, 1});
  }
  if (!scanner.stopped()) {
    show(scanner.push(stream.finish()));
    show(scanner.finish());
  }
  result.stopped = result.stopped || scanner.stopped();
  result.seconds = seconds_since(start);
  return result;
}

}  // namespace whit::runtime
