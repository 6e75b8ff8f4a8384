# Flags of every target: warnings are errors, no -ffast-math, one build type by default.
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

add_library(whit_options INTERFACE)
target_compile_options(whit_options INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Werror -fno-math-errno -ffp-contract=off)
target_include_directories(whit_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
if(WHIT_SANITIZE)
  target_compile_options(whit_options INTERFACE -fsanitize=${WHIT_SANITIZE} -fno-omit-frame-pointer
                                                -fno-sanitize-recover=all)
  target_link_options(whit_options INTERFACE -fsanitize=${WHIT_SANITIZE})
  target_compile_definitions(whit_options INTERFACE WHIT_SANITIZED)
endif()
