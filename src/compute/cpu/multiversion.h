#pragma once

// Marks a hot loop that is compiled for several x86-64 levels and chosen when the program starts,
// so that one binary runs anywhere and is fast where it can be. Sanitizers do not bear the
// resolvers, and clang 14 does not know the levels.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(WHIT_SANITIZED)
#define WHIT_MULTIVERSION \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define WHIT_MULTIVERSION
#endif

// A piece of such a loop: it must be compiled inside its caller.
#define WHIT_INLINE __attribute__((always_inline)) inline
