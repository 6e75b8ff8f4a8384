#include "checkpoint/checkpoint.h"

#include "checkpoint/json_file.h"
#include "checkpoint/raw_files.h"
#include "checkpoint/shard_index.h"

namespace whit::checkpoint {
namespace {

using base::ErrorKind;
using testing::expect_error;
using testing::Folder;
using testing::shard;

class CheckpointFolder : public ::testing::Test {
 protected:
  void SetUp() override { folder_.write("config.json", R"({"model_type":"x"})"); }
  void index(const std::string& map) {
    folder_.write(std::string(kIndexFile), R"({"weight_map":)" + map + "}");
  }
  void expect_refused(std::string_view subject, std::string_view detail) {
    expect_error(ErrorKind::kInput, subject, detail, [&] { Checkpoint::open(folder_.path()); });
  }
  Folder folder_;
};

TEST_F(CheckpointFolder, OpensShardsByTheIndex) {
  folder_.write("m-1.safetensors", shard({"a", "b"}));
  folder_.write("m-2.safetensors", shard({"c"}));
  folder_.write("left-over.safetensors", "not even safetensors");
  index(R"({"a":"m-1.safetensors","b":"m-1.safetensors","c":"m-2.safetensors"})");
  const Checkpoint checkpoint = Checkpoint::open(folder_.path());
  EXPECT_TRUE(checkpoint.has_index());
  EXPECT_EQ(checkpoint.names(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(checkpoint.config().at("model_type"), "x");
  EXPECT_EQ(checkpoint.tensor_bytes(), 12U);
  EXPECT_EQ(checkpoint.file_of("c").path().filename(), "m-2.safetensors");
  EXPECT_EQ(checkpoint.view("b").bytes(), 4U);
  EXPECT_FALSE(checkpoint.has("d"));
  checkpoint.release("a");
  expect_error(ErrorKind::kInput, "tensor d", "not in the checkpoint",
               [&] { checkpoint.info("d"); });
}

TEST_F(CheckpointFolder, OpensOneFileAndPassesOverConsolidated) {
  folder_.write("model.safetensors", shard({"a"}));
  folder_.write("consolidated.00.safetensors", shard({"a"}));
  const Checkpoint checkpoint = Checkpoint::open(folder_.path());
  EXPECT_EQ(checkpoint.names(), (std::vector<std::string>{"a"}));
  EXPECT_FALSE(checkpoint.has_index());
}

TEST_F(CheckpointFolder, OpensNumberedShardsWithoutIndex) {
  folder_.write("model-00001-of-00002.safetensors", shard({"a"}));
  expect_refused(folder_.path().string(), "1 of 2 numbered shards");
  folder_.write("model-00002-of-00002.safetensors", shard({"b"}));
  EXPECT_EQ(Checkpoint::open(folder_.path()).names().size(), 2U);
}

TEST_F(CheckpointFolder, RefusesAMissingShard) {
  folder_.write("m-1.safetensors", shard({"a"}));
  index(R"({"a":"m-1.safetensors","c":"m-2.safetensors"})");
  expect_refused("m-2.safetensors", "missing");
}

TEST_F(CheckpointFolder, RefusesShardNamesThatLeadElsewhere) {
  for (const char* name :
       {"../m.safetensors", "/etc/m.safetensors", "x/m.safetensors", "..", "", "m.bin",
        ".safetensors", "..safetensors", "x\\\\m.safetensors", "m\\u0000.safetensors"}) {
    index(std::string(R"({"a":")") + name + "\"}");
    expect_refused("index.json: tensor a", "expected a plain NAME.safetensors");
  }
}

TEST_F(CheckpointFolder, RefusesAnIndexThatDisagreesWithItsShards) {
  folder_.write("m-1.safetensors", shard({"a", "b"}));
  folder_.write("m-2.safetensors", shard({"c"}));
  index(R"({"a":"m-1.safetensors","b":"m-1.safetensors","c":"m-1.safetensors"})");
  expect_refused("index.json: tensor c", "not in m-1.safetensors");
  index(R"({"a":"m-1.safetensors","b":"m-2.safetensors","c":"m-2.safetensors"})");
  expect_refused("index.json: tensor b", "not in m-2.safetensors");
  index(R"({"a":"m-1.safetensors","c":"m-2.safetensors"})");
  expect_refused("m-1.safetensors: tensor b", "not in model.safetensors.index.json");
}

TEST_F(CheckpointFolder, RefusesOneTensorInTwoShards) {
  folder_.write("m-1.safetensors", shard({"a"}));
  folder_.write("m-2.safetensors", shard({"a", "b"}));
  expect_refused("m-2.safetensors: tensor a", "also in m-1.safetensors");
  index(R"({"a":"m-1.safetensors","b":"m-2.safetensors"})");
  expect_refused("m-2.safetensors: tensor a", "also in m-1.safetensors");
}

TEST_F(CheckpointFolder, RefusesACorruptShard) {
  folder_.write("model.safetensors", shard({"a"}).substr(0, 60));
  expect_refused("model.safetensors", "");
}

TEST_F(CheckpointFolder, RefusesBrokenIndexes) {
  for (const char* map : {"[]", "null", "{}", "\"x\""}) {
    index(map);
    expect_refused("index.json", "weight_map");
  }
  index(R"({"a":1})");
  expect_refused("index.json: tensor a", "expected a file name");
  index(R"({"a":"m.safetensors","a":"n.safetensors"})");
  expect_refused("index.json", "'a' stands twice");
  folder_.write(std::string(kIndexFile), "[]");
  expect_refused("index.json", "expected an object");
  folder_.write(std::string(kIndexFile), "{\"weight_map\":{\"\xff\":\"m.safetensors\"}}");
  expect_refused("index.json", "UTF-8");
}

TEST_F(CheckpointFolder, RefusesBrokenConfigs) {
  folder_.write("model.safetensors", shard({"a"}));
  for (const auto& [text, detail] : std::map<std::string, std::string>{
           {"", "no valid JSON"},
           {"[1]", "top level is array"},
           {"{\"a\":}", "no valid JSON"},
           {std::string("{}\0", 3), "NUL"},
           {"{\"a\":" + std::string(100000, '['), "nested deeper"}}) {
    folder_.write("config.json", text);
    expect_refused("config.json", detail);
  }
  fs::remove(folder_.path() / "config.json");
  expect_refused("config.json", "no such file");
  EXPECT_TRUE(Checkpoint::open(folder_.path(), false).config().is_null());
}

TEST_F(CheckpointFolder, RefusesFoldersWithoutWeights) {
  expect_refused(folder_.path().string(), "expected weights");
  expect_error(ErrorKind::kInput, "/nowhere", "no such folder",
               [] { Checkpoint::open("/nowhere"); });
}

TEST(Checkpoint, OpensTheDemoModel) {
  const Checkpoint checkpoint = Checkpoint::open(fs::path(WHIT_SOURCE_DIR) / "demo/moe-15m");
  EXPECT_EQ(checkpoint.names().size(), 737U);
  EXPECT_EQ(checkpoint.tensor_bytes(), 21110652U);
  EXPECT_EQ(checkpoint.info("model.layers.1.mlp.experts.0.down_proj.weight").dtype,
            tensor::Dtype::kF8E4M3);
}

TEST(ResolveModel, FindsFoldersAndTheCache) {
  const Folder cache;
  const fs::path repository = cache.path() / "models--org--name";
  cache.write("models--org--name/refs/main", "abc123\n");
  cache.write("models--org--name/refs/refs/pr/1", "def456");
  cache.write("models--org--name/snapshots/abc123/config.json", "{}");
  cache.write("models--org--name/snapshots/def456/config.json", "{}");
  cache.write("models--gpt2/refs/main", "abc");
  cache.write("models--gpt2/snapshots/abc/config.json", "{}");
  EXPECT_EQ(resolve_model(repository.string(), "/nowhere"), repository);
  EXPECT_EQ(resolve_model("org/name", cache.path()), repository / "snapshots/abc123");
  EXPECT_EQ(resolve_model("org/name@def456", cache.path()), repository / "snapshots/def456");
  EXPECT_EQ(resolve_model("org/name@refs/pr/1", cache.path()), repository / "snapshots/def456");
  EXPECT_EQ(resolve_model("gpt2", cache.path()), cache.path() / "models--gpt2/snapshots/abc");
}

TEST(ResolveModel, SaysWhereItLooked) {
  const Folder cache;
  cache.write("models--org--name/refs/main", "../../../etc");
  const auto refused = [&](const std::string& model, std::string_view subject,
                           std::string_view detail) {
    expect_error(ErrorKind::kInput, subject, detail, [&] { resolve_model(model, cache.path()); });
  };
  refused("org/other", "org/other", (cache.path() / "models--org--other").string());
  refused("org/name@v1", "org/name@v1", "snapshots/v1");
  refused("org/name", "refs/main", "expected a commit");
  refused("org/name@../x", "org/name@../x", "no such folder");
  refused("a/b/c", "a/b/c", "no such folder");
  refused("../x", "../x", "no such folder");
  refused("", "", "no such folder");
}

TEST(ReadJson, KeepsTheOrderWhereAsked) {
  const Folder folder;
  const fs::path path = folder.write("x.json", R"({"b":1,"a":{"d":1,"c":2}})");
  EXPECT_EQ(read_ordered_json_object(path).dump(), R"({"b":1,"a":{"d":1,"c":2}})");
  EXPECT_EQ(read_json_object(path).dump(), R"({"a":{"c":2,"d":1},"b":1})");
}

}  // namespace
}  // namespace whit::checkpoint
