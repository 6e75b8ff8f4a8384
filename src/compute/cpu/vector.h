#pragma once

#include <cstdint>

// Loops over contiguous floats, compiled for several instruction sets. Sums run in 16 lanes that
// are added in a fixed order, so results depend on the data alone on a given machine.
namespace whit::compute::cpu {

void add_to(float* a, const float* b, std::int64_t size);  // a += b
void scale_add(float alpha, float* a, float beta, const float* b,
               std::int64_t size);  // a = αa + βb
void scaled_copy(float factor, const float* in, float* out, std::int64_t size);
void add_scaled(float factor, const float* in, float* inout, std::int64_t size);
// The same to BF16, halves to even.
void add_scaled_bf16(float factor, const float* in, std::uint16_t* inout, std::int64_t size);
// out = a + factor * b.
void triad(const float* a, float factor, const float* b, float* out, std::int64_t size);
double dot(const float* a, const float* b, std::int64_t size);  // products and sum in double
double sum_of(const float* a, std::int64_t size);               // in double
double sum_of_squares(const float* a, std::int64_t size);       // in double
float max_of(const float* a, std::int64_t size);                // -inf where size is 0
// Magnitudes by their bits, among which those of a NaN are the largest: most[i] becomes the larger
// of itself and |a[i]|.
void raise_to_magnitudes(const float* a, std::int32_t* most, std::int64_t size);
std::int32_t largest_magnitude(const float* a, std::int64_t size);

// out = a - shift, subtracted in double.
void shifted_copy(const float* a, double shift, float* out, std::int64_t size);
// out = w * (x * factor).
void norm_row(const float* x, const float* w, float factor, float* out, std::int64_t size);
// a = exp(a - shift); returns the sum in double. |relative error| of an element < 1.2e-7.
double exp_row(float* a, float shift, std::int64_t size);
// Sum of exp(a - shift), in double.
double sum_exp(const float* a, float shift, std::int64_t size);
// Rotates pairs (a[i], b[i]); c and s hold cosines and sines.
void rotate_halves(float* a, float* b, const float* c, const float* s, std::int64_t size);
void rotate_pairs(float* a, const float* c, const float* s, std::int64_t size);
// a[i] /= b[i].
void divide_by(float* a, const float* b, std::int64_t size);

}  // namespace whit::compute::cpu
