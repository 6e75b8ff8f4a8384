# Apache Arrow's C++ libraries, which read Parquet: an installed Arrow, or the one that the Python
# package pyarrow carries (headers and libraries, but no CMake files). Gives the target whit_arrow, or
# none where there is no Arrow.
#   WHIT_ARROW_PYTHON  a Python that has pyarrow; unset: that of scripts/install_dependencies.sh
#                      parquet, else the system's
option(WHIT_PARQUET "Read Parquet where Apache Arrow is found" ON)

# Include folder and libraries of the pyarrow that `python` imports, in the given variables.
function(whit_find_pyarrow python include arrow parquet)
  execute_process(COMMAND ${python} -c "import pyarrow, os; print(pyarrow.get_include(), os.path.dirname(pyarrow.__file__), sep=';')"
                  RESULT_VARIABLE code OUTPUT_VARIABLE answer ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT code EQUAL 0)
    return()
  endif()
  list(GET answer 0 headers)
  list(GET answer 1 folder)
  # libarrow.so.2600, without the plain name that a linker looks for.
  file(GLOB arrow_library ${folder}/libarrow.so ${folder}/libarrow.so.[0-9]*)
  file(GLOB parquet_library ${folder}/libparquet.so ${folder}/libparquet.so.[0-9]*)
  if(NOT EXISTS ${headers}/parquet/arrow/reader.h OR NOT arrow_library OR NOT parquet_library)
    return()
  endif()
  list(GET arrow_library 0 arrow_library)
  list(GET parquet_library 0 parquet_library)
  set(${include} ${headers} PARENT_SCOPE)
  set(${arrow} ${arrow_library} PARENT_SCOPE)
  set(${parquet} ${parquet_library} PARENT_SCOPE)
endfunction()

function(whit_find_arrow)
  find_package(Arrow CONFIG QUIET)
  find_package(Parquet CONFIG QUIET)
  if(TARGET Arrow::arrow_shared AND TARGET Parquet::parquet_shared)
    add_library(whit_arrow INTERFACE)
    target_link_libraries(whit_arrow INTERFACE Parquet::parquet_shared Arrow::arrow_shared)
    message(STATUS "Parquet: Apache Arrow ${Arrow_VERSION}")
    return()
  endif()
  foreach(python ${WHIT_ARROW_PYTHON} ${CMAKE_SOURCE_DIR}/build-parquet/venv/bin/python python3)
    whit_find_pyarrow(${python} headers arrow parquet)
    if(headers)
      foreach(part arrow parquet)
        add_library(whit_${part}_library SHARED IMPORTED)
        set_target_properties(whit_${part}_library PROPERTIES IMPORTED_LOCATION ${${part}}
                              IMPORTED_NO_SONAME OFF)
        get_filename_component(soname ${${part}} NAME)
        set_target_properties(whit_${part}_library PROPERTIES IMPORTED_SONAME ${soname})
      endforeach()
      add_library(whit_arrow INTERFACE)
      target_include_directories(whit_arrow SYSTEM INTERFACE ${headers})
      target_link_libraries(whit_arrow INTERFACE whit_parquet_library whit_arrow_library)
      message(STATUS "Parquet: ${arrow}")
      return()
    endif()
  endforeach()
  message(STATUS "Parquet: no Apache Arrow; .parquet files will be refused "
                 "(scripts/install_dependencies.sh parquet)")
endfunction()

if(WHIT_PARQUET)
  whit_find_arrow()
endif()
# The installed program finds the libraries where the build found them.
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)
