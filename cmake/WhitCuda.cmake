# The CUDA backend: src/compute/cuda as a part of whit_compute where nvcc is found, else
# src/compute/cuda_absent.cpp.
#   WHIT_CUDA                AUTO (where nvcc is found), ON or OFF
#   WHIT_CUDA_ARCHITECTURES  what machine code is made for
set(WHIT_CUDA AUTO CACHE STRING "Build the CUDA backend: AUTO, ON or OFF")
set(WHIT_CUDA_ARCHITECTURES "80-real;90a-real;100-real" CACHE STRING "GPUs that the CUDA backend is compiled for")

set(WHIT_WITH_CUDA OFF)
set(WHIT_OLDEST_CUDA 12.8)  # knows sm_100 and C++20
if(NOT WHIT_CUDA STREQUAL "OFF" AND NOT WHIT_SANITIZE AND NOT WHIT_FUZZ)
  find_program(WHIT_NVCC nvcc PATHS ENV CUDA_HOME /usr/local/cuda PATH_SUFFIXES bin)
  set(missing "there is no nvcc in PATH, CUDA_HOME or /usr/local/cuda")
  if(WHIT_NVCC)
    execute_process(COMMAND ${WHIT_NVCC} --version OUTPUT_VARIABLE answer ERROR_QUIET)
    string(REGEX MATCH "release ([0-9.]+)" answer "${answer}")
    set(missing "${WHIT_NVCC} is of CUDA ${CMAKE_MATCH_1}; expected ${WHIT_OLDEST_CUDA} or later")
    if(CMAKE_MATCH_1 VERSION_GREATER_EQUAL WHIT_OLDEST_CUDA)
      # Whether it works with the compiler that is here.
      set(ENV{CUDACXX} ${WHIT_NVCC})
      include(CheckLanguage)
      check_language(CUDA)
      set(missing "${WHIT_NVCC} cannot compile here")
      if(CMAKE_CUDA_COMPILER)
        set(WHIT_WITH_CUDA ON)
      endif()
    endif()
  endif()
  if(NOT WHIT_WITH_CUDA AND WHIT_CUDA STREQUAL "ON")
    message(FATAL_ERROR "WHIT_CUDA is ON, but ${missing}")
  elseif(NOT WHIT_WITH_CUDA)
    message(STATUS "CUDA: absent (${missing})")
  endif()
endif()
if(WHIT_WITH_CUDA)
  set(CMAKE_CUDA_ARCHITECTURES ${WHIT_CUDA_ARCHITECTURES})
  if(CCACHE_PROGRAM)
    set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  endif()
  enable_language(CUDA)
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
    # CMake 3.25 does not know that nvcc reads C++20.
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  endif()
  set(CMAKE_CUDA_STANDARD 20)
  find_package(CUDAToolkit REQUIRED)
  message(STATUS "CUDA ${CUDAToolkit_VERSION}: ${WHIT_CUDA_ARCHITECTURES}")
endif()

# Adds the backend, or what stands in for it, to whit_compute.
function(whit_add_cuda)
  file(GLOB host_sources ${CMAKE_SOURCE_DIR}/src/compute/cuda/*.cpp)
  if(NOT WHIT_WITH_CUDA)
    set_source_files_properties(${host_sources} PROPERTIES HEADER_FILE_ONLY ON)
    return()
  endif()
  set_source_files_properties(${host_sources} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/compute/cuda/*.cu)
  # Names of unnamed namespaces recur, and one unit that holds them all would compile for minutes.
  set_source_files_properties(${sources} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  target_sources(whit_compute PRIVATE ${sources})
  # 177: what is left of a Hopper kernel on other GPUs.
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/compute/cuda/gram_sm90.cu PROPERTIES COMPILE_OPTIONS
                              -diag-suppress=177)
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/compute/cuda_absent.cpp PROPERTIES HEADER_FILE_ONLY ON)
  # 554: a conversion that its constraint rules out; GCC 12 takes the inside of an empty optional for uninitialized.
  target_compile_options(whit_compute PRIVATE
    "$<$<COMPILE_LANGUAGE:CUDA>:--extended-lambda;--expt-relaxed-constexpr;-diag-suppress=554;-Werror=all-warnings;-Xcompiler=-Wall,-Wextra,-Wno-maybe-uninitialized>")
  # cuBLAS and cuSOLVER are opened when they are needed (libraries.cpp).
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/compute/cuda/libraries.cpp PROPERTIES COMPILE_DEFINITIONS
                              WHIT_CUDA_LIBRARY_DIR="${CUDAToolkit_LIBRARY_DIR}")
  target_link_libraries(whit_compute PRIVATE CUDA::cudart_static ${CMAKE_DL_LIBS})
endfunction()
