#include "compute/support.h"

// The law: the same bytes for any number of threads.
namespace whit::compute::testing {
namespace {

// What one function leaves behind on a backend, as bytes.
using Outcome = std::vector<std::byte>;

void append(Outcome& out, const Tensor& t) {
  out.insert(out.end(), t.data(), t.data() + t.bytes());
}
template <typename T>
void append(Outcome& out, const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void expect_same_for_any_thread_count(const std::function<Outcome(Backend&)>& work) {
  const auto one = make_cpu_backend(1);
  const Outcome expected = work(*one);
  ASSERT_FALSE(expected.empty());
  for (const int threads : {2, 7}) {
    const auto many = make_cpu_backend(threads);
    for (int repeat = 0; repeat < 2; ++repeat)
      EXPECT_TRUE(work(*many) == expected) << threads << " threads";
  }
}

TEST(Threads, Gemm) {
  const Tensor a = random_f32({700, 90}, 1);
  const Tensor b = random_f32({1300, 90}, 2);
  expect_same_for_any_thread_count([&](Backend& backend) {
    Tensor c = random_f32({700, 1300}, 3);
    backend.linalg().gemm(2.0F, a.matrix(), Transpose::kNo, b.matrix(), Transpose::kYes, 1.0F,
                          c.matrix());
    Outcome out;
    append(out, c);
    return out;
  });
}

TEST(Threads, Linear) {
  for (const std::int64_t rows : {1, 3, 300}) {
    const Tensor x = random_f32({rows, 70}, 1);
    const Tensor w = random_f32({1100, 70}, 2);
    expect_same_for_any_thread_count([&](Backend& backend) {
      Tensor y({rows, 1100}, Dtype::kF32);
      backend.linalg().linear(x.matrix(), w.matrix(), w.as<float>(), y.matrix());
      Outcome out;
      append(out, y);
      return out;
    });
  }
}

TEST(Threads, Gram) {
  // One tile, a few, and many.
  for (const auto& [rows, width] :
       {std::pair<std::int64_t, std::int64_t>{5000, 33}, {1500, 700}, {150, 3000}}) {
    const Tensor x = random_f32({rows, width}, 1);
    const Tensor weights = absolute(random_f32({rows}, 2));
    for (const bool weighted : {false, true})
      expect_same_for_any_thread_count([&, rows = rows, width = width](Backend& backend) {
        Tensor g({width, width}, Dtype::kF32);
        const std::span<const float> w(weights.as<float>(), static_cast<std::size_t>(rows));
        backend.linalg().gram(x.matrix(), weighted ? w : std::span<const float>{}, g.matrix());
        Outcome out;
        append(out, g);
        return out;
      });
  }
}

TEST(Threads, Factor) {
  const Tensor h = random_spd(900, 3);
  expect_same_for_any_thread_count([&](Backend& backend) {
    Tensor u = clone(h);
    const auto d = backend.solve().factor_udu(u.matrix());
    Outcome out;
    append(out, u);
    append(out, d.value());
    return out;
  });
}

TEST(Threads, SolvedRows) {
  const Tensor u = [] {
    Tensor h = random_spd(300, 3);
    make_cpu_backend(1)->solve().factor_udu(h.matrix());
    return h;
  }();
  const std::vector<double> d(300, 0.7);
  expect_same_for_any_thread_count([&](Backend& backend) {
    Tensor b = random_f32({700, 300}, 4);
    backend.solve().solve_udu(u.matrix(), d, b.matrix());
    Outcome out;
    append(out, b);
    return out;
  });
}

TEST(Threads, QuadraticForm) {
  const Tensor h = random_spd(600, 4);
  const Tensor d = random_f32({900, 600}, 5);
  expect_same_for_any_thread_count([&](Backend& backend) {
    Outcome out;
    append(out, backend.linalg().quadratic_form(d.matrix(), h.matrix()));
    return out;
  });
}

TEST(Threads, ScalesAndRounding) {
  const Tensor w = random_f32({150, 256}, 6, 0.02F);
  std::vector<float> weights(256, 0.5F);
  for (const bool symmetric : {true, false})
    for (const bool weighted : {true, false})
      expect_same_for_any_thread_count([&](Backend& backend) {
        const GridArgs args{4, symmetric, 64, ScaleSearch::kMse, Dtype::kBF16};
        Tensor scales({150, 4}, Dtype::kF32);
        Tensor zeros({150, 4}, Dtype::kF32);
        Tensor codes({150, 256}, Dtype::kI8);
        backend.codec().fit_scales(
            w.matrix(), args, weighted ? std::span<const float>(weights) : std::span<const float>{},
            scales.matrix(), zeros.matrix());
        backend.codec().round_to_grid(w.matrix(), args, scales.matrix(), zeros.matrix(),
                                      codes.matrix());
        Outcome out;
        append(out, scales);
        append(out, zeros);
        append(out, codes);
        return out;
      });
}

TEST(Threads, Sweep) {
  const Tensor w = random_f32({333, 100}, 7);
  const Tensor u = random_f32({100, 100}, 8, 0.03F);
  const Tensor scales = absolute(random_f32({333, 2}, 9));
  std::vector<std::int32_t> groups(100, 0);
  for (std::size_t k = 0; k < 100; k += 3) groups[k] = 1;
  expect_same_for_any_thread_count([&](Backend& backend) {
    SweepArgs args;
    args.u = u.matrix();
    args.scales = scales.matrix();
    args.column_group = groups;
    Tensor codes({333, 100}, Dtype::kI8);
    Tensor error({333, 100}, Dtype::kF32);
    backend.codec().sweep_block(args, w.matrix(), w.matrix(), codes.matrix(), error.matrix());
    Outcome out;
    append(out, codes);
    append(out, error);
    return out;
  });
}

TEST(Threads, DescentAndItsSums) {
  const Tensor h = random_spd(100, 7);
  const Tensor gradient = random_f32({333, 100}, 8, 40.0F);
  const Tensor scales = absolute(random_f32({333, 2}, 9));
  std::vector<std::int32_t> groups(100, 0);
  for (std::size_t k = 0; k < 100; k += 3) groups[k] = 1;
  expect_same_for_any_thread_count([&](Backend& backend) {
    DescentArgs args;
    args.h = h.matrix();
    args.scales = scales.matrix();
    args.column_group = groups;
    Tensor codes({333, 100}, Dtype::kI8);
    Tensor error = random_f32({333, 100}, 10);
    backend.codec().descend_block(args, gradient.matrix(), codes.matrix(), error.matrix());
    Outcome out;
    append(out, codes);
    append(out, error);
    std::vector<double> dots = backend.linalg().row_dots(error.matrix(), gradient.matrix(), 30);
    append(out, dots);
    std::vector<double> systems;
    for (std::size_t i = 0; i < dots.size() * 4; ++i)
      systems.push_back(i % 16 % 5 == 0 ? 2.0 : 1.0 / static_cast<double>(i + 2));
    backend.solve().solve_small(4, systems, dots);
    append(out, dots);
    return out;
  });
}

TEST(Threads, Attention) {
  const Tensor q = random_f32({300, 6 * 16}, 10);
  const Tensor k = random_f32({700, 2 * 12}, 11);
  const Tensor s = random_f32({700, 4}, 12);
  const Tensor v = random_f32({700, 2 * 10}, 13);
  expect_same_for_any_thread_count([&](Backend& backend) {
    AttentionArgs args;
    args.heads = 6;
    args.kv_heads = 2;
    args.q = {q.matrix(), 0, 16, 16};
    args.k = {k.matrix(), 0, 12, 12};
    args.k_shared = HeadView{s.matrix(), 0, 0, 4};
    args.v = {v.matrix(), 0, 10, 10};
    args.scale = 0.25F;
    Tensor out_rows({300, 60}, Dtype::kF32);
    backend.neural().attention(args, out_rows.matrix());
    Outcome out;
    append(out, out_rows);
    return out;
  });
}

TEST(Threads, RowFunctions) {
  const Tensor x = random_f32({257, 130}, 14);
  const Tensor w = random_f32({130}, 15);
  const Tensor table = random_f32({64, 130}, 16);
  std::vector<std::int32_t> ids(257);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(i * 7 % 64);
  std::vector<std::int32_t> rows(257);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int32_t>(i * 10 % 257);
  const std::vector<float> factors(257, 0.7F);
  expect_same_for_any_thread_count([&](Backend& backend) {
    Neural& neural = backend.neural();
    Tensor normed({257, 130}, Dtype::kF32);
    neural.norm(x.matrix(), {false, w.as<float>(), nullptr, 1e-6F}, normed.matrix());
    neural.norm(normed.matrix(), {true, w.as<float>(), w.as<float>(), 1e-5F}, normed.matrix());
    Tensor gated({257, 130}, Dtype::kF32);
    neural.activate(Activation::kSilu, normed.matrix(), x.matrix(), gated.matrix());
    neural.rope(gated.matrix(), 2, 1, 65, table.matrix().sub(0, 64, 0, 64), true, ids);
    neural.add(gated.matrix(), x.matrix());
    Tensor embedded({257, 130}, Dtype::kF32);
    neural.embed(table.view(), ids, embedded.matrix());
    neural.scatter_add_rows(gated.matrix(), rows, factors, embedded.matrix());
    neural.gather_rows(embedded.matrix(), rows, normed.matrix());
    neural.log_softmax(normed.matrix());
    std::vector<float> scores;
    const Routing routing = neural.route(normed.matrix().sub(0, 257, 0, 128), w.as<float>(),
                                         {6, 8, 4, 2, RouterScore::kSigmoid, true, 2.5F}, &scores);
    Outcome out;
    append(out, normed);
    append(out, embedded);
    append(out, gated);
    append(out, routing.experts);
    append(out, routing.weights);
    append(out, scores);
    return out;
  });
}

TEST(Threads, Decoding) {
  const Tensor codes = random_bytes({150, 300}, Dtype::kF8E4M3, 17, 0xbf);
  const Tensor scales = random_f32({2, 3}, 18);
  const Tensor half = random_bytes({150, 300}, Dtype::kBF16, 19, 0x3f);
  expect_same_for_any_thread_count([&](Backend& backend) {
    Tensor a({150, 300}, Dtype::kF32);
    Tensor b({150, 300}, Dtype::kF32);
    backend.codec().decode_scaled_fp8(codes.view(), scales.view(), 128, 128, a.matrix());
    backend.codec().to_f32(half.view(), b.matrix());
    Outcome out;
    append(out, a);
    append(out, b);
    return out;
  });
}

}  // namespace
}  // namespace whit::compute::testing
