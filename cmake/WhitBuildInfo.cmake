# What `whit --version` tells: base/build_info.h, generated in the build folder. It is refreshed by
# every build and rewritten only where it changed, so that a commit rebuilds one file, not all.
#
# Included by CMakeLists.txt it defines the target whit_build_info; run with -P it writes the header.
if(CMAKE_SCRIPT_MODE_FILE)
  set(WHIT_COMMIT "")
  if(EXISTS ${SOURCE_DIR}/.git)
    execute_process(COMMAND git -c safe.directory=* describe --always --dirty --abbrev=12
                    WORKING_DIRECTORY ${SOURCE_DIR} OUTPUT_VARIABLE WHIT_COMMIT
                    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE code)
    if(NOT code EQUAL 0)
      set(WHIT_COMMIT "")
    endif()
  endif()
  if(NOT WHIT_COMMIT)
    # `git archive` fills this file in.
    file(STRINGS ${SOURCE_DIR}/cmake/commit.txt line LIMIT_COUNT 1)
    if(line MATCHES "^[0-9a-f]+$")
      set(WHIT_COMMIT ${line})
    else()
      set(WHIT_COMMIT "unknown")
    endif()
  endif()
  configure_file(${SOURCE_DIR}/src/base/build_info.h.in ${OUTPUT} @ONLY)
  return()
endif()

function(whit_blas_name result)
  set(name "unknown")
  foreach(library ${BLAS_LIBRARIES})
    get_filename_component(file "${library}" NAME)
    if(file MATCHES "openblas")
      set(name "OpenBLAS")
    elseif(file MATCHES "mkl")
      set(name "MKL")
    elseif(file MATCHES "blis")
      set(name "BLIS")
    elseif(name STREQUAL "unknown")
      set(name "${file}")
    endif()
  endforeach()
  set(${result} "${name}" PARENT_SCOPE)
endfunction()

function(whit_build_info)
  whit_blas_name(blas)
  set(header ${CMAKE_BINARY_DIR}/generated/base/build_info.h)
  set(command ${CMAKE_COMMAND}
      -DSOURCE_DIR=${CMAKE_SOURCE_DIR} -DOUTPUT=${header}
      -DWHIT_VERSION=${PROJECT_VERSION}
      "-DWHIT_COMPILER=${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}"
      "-DWHIT_BUILD_TYPE=${CMAKE_BUILD_TYPE}" "-DWHIT_SANITIZERS=${WHIT_SANITIZE}"
      "-DWHIT_BLAS=${blas}" "-DWHIT_SYSTEM=${CMAKE_SYSTEM_NAME} ${CMAKE_SYSTEM_PROCESSOR}"
      -P ${CMAKE_SOURCE_DIR}/cmake/WhitBuildInfo.cmake)
  execute_process(COMMAND ${command} COMMAND_ERROR_IS_FATAL ANY)
  add_custom_target(whit_build_info_header COMMAND ${command} BYPRODUCTS ${header} VERBATIM)
  add_library(whit_build_info INTERFACE)
  target_include_directories(whit_build_info INTERFACE ${CMAKE_BINARY_DIR}/generated)
  add_dependencies(whit_build_info whit_build_info_header)
endfunction()
