# Flags of every target: warnings are errors, no -ffast-math, one build type by default.
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  # What ccache needs in order to keep objects that were compiled with a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE_PROGRAM})
  add_compile_options($<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fpch-preprocess>)
endif()

# Warnings stop the build with the compilers that the tests run with; a newer one may warn anew.
if((CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13) OR
   (CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 15))
  set(known_compiler ON)
else()
  set(known_compiler OFF)
endif()
option(WHIT_WERROR "Warnings are errors" ${known_compiler})

add_library(whit_options INTERFACE)
set(flags -Wall -Wextra -Wconversion -Wshadow $<$<BOOL:${WHIT_WERROR}>:-Werror>
    # Clang counts sign changes as -Wconversion, GCC does not: one meaning for both.
    $<$<CXX_COMPILER_ID:Clang>:-Wno-sign-conversion>
    -fno-math-errno -ffp-contract=off)
target_compile_options(whit_options INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${flags}>")
target_include_directories(whit_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
# Clang 14 destroys the wrong temporaries of `case X: f(temporary, consteval)`; without consteval fmt
# checks its format strings at run time.
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 15)
  target_compile_definitions(whit_options INTERFACE FMT_CONSTEVAL=)
endif()
if(WHIT_SANITIZE)
  target_compile_options(whit_options INTERFACE -fsanitize=${WHIT_SANITIZE} -fno-omit-frame-pointer
                                                -fno-sanitize-recover=all)
  target_link_options(whit_options INTERFACE -fsanitize=${WHIT_SANITIZE})
  target_compile_definitions(whit_options INTERFACE WHIT_SANITIZED)
endif()
if(WHIT_FUZZ)
  target_compile_options(whit_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
# For tests and for rooms that hand work on: less optimizing spares a third of the time to compile them, none at
# all half of it.
set(WHIT_LIGHT_OPTIONS $<$<CONFIG:Release>:-O1>)
if(WHIT_SANITIZE)
  set(WHIT_LIGHT_OPTIONS -O0)
endif()
