# Every library that whit stands on, under one target name each.
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)

# Found by header and library: the .pc file of some distributions' SentencePiece asks for protobuf,
# which only its own build needs.
function(whit_library target header library)
  string(TOUPPER ${target} name)
  find_path(${name}_INCLUDE_DIR ${header} REQUIRED)
  find_library(${name}_LIBRARY ${library} REQUIRED)
  add_library(${target} INTERFACE)
  target_include_directories(${target} SYSTEM INTERFACE ${${name}_INCLUDE_DIR})
  target_link_libraries(${target} INTERFACE ${${name}_LIBRARY})
endfunction()

whit_library(whit_xxhash xxhash.h xxhash)
whit_library(whit_pcre2 pcre2.h pcre2-8)
whit_library(whit_utf8proc utf8proc.h utf8proc)
whit_library(whit_sentencepiece sentencepiece_processor.h sentencepiece)
whit_library(whit_zlib zlib.h z)
whit_library(whit_zstd zstd.h zstd)
whit_library(whit_zip zip.h zip)

whit_library(whit_icu unicode/uchar.h icuuc)

find_path(CLI11_INCLUDE_DIR CLI/CLI.hpp REQUIRED)
add_library(whit_cli11 INTERFACE)
target_include_directories(whit_cli11 SYSTEM INTERFACE ${CLI11_INCLUDE_DIR})

find_package(BLAS REQUIRED)
find_package(LAPACK REQUIRED)
add_library(whit_blas INTERFACE)
target_link_libraries(whit_blas INTERFACE ${LAPACK_LIBRARIES} ${BLAS_LIBRARIES})

# MPI's C interface, called from C++; the old C++ bindings stay out.
if(WHIT_MPI)
  find_package(MPI QUIET COMPONENTS CXX)
  if(MPI_CXX_FOUND)
    add_library(whit_mpi INTERFACE)
    target_link_libraries(whit_mpi INTERFACE MPI::MPI_CXX)
    target_compile_definitions(whit_mpi INTERFACE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)
    message(STATUS "Ranks: MPI ${MPI_CXX_VERSION} (${MPI_CXX_COMPILER})")
  else()
    message(STATUS "Ranks: no MPI; one process a job")
  endif()
endif()
