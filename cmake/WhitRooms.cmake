# Compiles a target's files eight at a time, which spares most of the work on headers and templates.
# Names in unnamed namespaces must then differ within a room.
function(whit_unity target)
  if(WHIT_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
  endif()
endfunction()

# whit_room(NAME DEPENDS room... LINKS target...): src/NAME/**.cpp as the library whit_NAME.
function(whit_room name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LINKS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cpp)
  if(sources)
    add_library(whit_${name} STATIC ${sources})
    whit_unity(whit_${name})
    set(scope PUBLIC)
  else()
    add_library(whit_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_link_libraries(whit_${name} ${scope} whit_options ${ARG_LINKS})
  foreach(room ${ARG_DEPENDS})
    target_link_libraries(whit_${name} ${scope} whit_${room})
  endforeach()
endfunction()

# Headers that most of a target's files read, compiled once. Only where clang-tidy does not look: it
# cannot read GCC's precompiled headers.
function(whit_precompile target)
  if(WHIT_PRECOMPILE)
    target_precompile_headers(${target} PRIVATE <algorithm> <filesystem> <functional> <map> <memory> <optional> <span>
                              <string> <variant> <vector> <fmt/format.h> ${ARGN})
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
      # GCC 12 warns of std::string's own copies (its bugs 105329, 105651) where the header is precompiled.
      target_compile_options(${target} PRIVATE -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow
                                               -Wno-stringop-overread)
    endif()
  endif()
endfunction()
