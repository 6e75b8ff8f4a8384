#pragma once

// cuBLAS and cuSOLVER are opened when a GPU is first asked for: a program that is linked with them
// takes a fifth of a second longer to start. libraries.cpp defines the functions that whit calls,
// as their headers declare them; each finds its own in the library.
namespace whit::compute::cuda {

// Opens both and finds every function. Errors: kUnsupported, subject: the library's file.
void open_libraries();

}  // namespace whit::compute::cuda
