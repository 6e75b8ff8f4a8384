# Every library that whit stands on, under one target name each.
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(PkgConfig REQUIRED)

function(whit_pkg target)
  pkg_check_modules(${target}_pc REQUIRED IMPORTED_TARGET ${ARGN})
  add_library(${target} INTERFACE)
  target_link_libraries(${target} INTERFACE PkgConfig::${target}_pc)
endfunction()

whit_pkg(whit_xxhash libxxhash)
whit_pkg(whit_pcre2 libpcre2-8)
whit_pkg(whit_sentencepiece sentencepiece)

find_path(CLI11_INCLUDE_DIR CLI/CLI.hpp REQUIRED)
add_library(whit_cli11 INTERFACE)
target_include_directories(whit_cli11 SYSTEM INTERFACE ${CLI11_INCLUDE_DIR})

find_package(BLAS REQUIRED)
find_package(LAPACK REQUIRED)
add_library(whit_blas INTERFACE)
target_link_libraries(whit_blas INTERFACE ${LAPACK_LIBRARIES} ${BLAS_LIBRARIES})
