# weft_generate(TARGET name PROTOS file.proto ...
#               [IMPORT_DIRS dir ...] [USES target ...] [ALLOW_STREAMS])
#
# Makes the static library `name` out of .proto files: C messages and service
# stubs by protoc-gen-c, behind protoc-gen-weft, which lets proto3 `optional`
# through and refuses what would not compile, with file, line and advice.
# Link it and #include "file.pb-c.h".
#
#   IMPORT_DIRS    where imports are found, and what the generated files' paths
#                  are relative to (default: the current source folder)
#   USES           targets made by weft_generate whose .proto files are imported
#   ALLOW_STREAMS  generate unary functions for streaming rpcs, instead of an error
#
# google/protobuf/*.proto (Timestamp, Any, ...) may be imported: their code is
# generated once, into the library weft_well_known, and linked by itself.

include_guard(GLOBAL)
cmake_policy(PUSH)
cmake_policy(SET CMP0116 NEW) # DEPFILE paths under Ninja

find_program(WEFT_PROTOC protoc REQUIRED)
find_program(WEFT_PROTOC_GEN_C protoc-gen-c REQUIRED)
find_path(WEFT_PROTOBUF_INCLUDE google/protobuf/descriptor.proto REQUIRED)

# One .proto file to one .c and one .h; protoc finds it as `rel` below `dirs`.
function(_weft_generate_one target out rel dirs plugin_name plugin_file options)
  string(REGEX REPLACE "\\.proto$" ".pb-c" base ${out}/${rel})
  list(TRANSFORM dirs PREPEND "-I" OUTPUT_VARIABLE includes)
  string(REPLACE "/" "_" depfile ${rel}.d)
  add_custom_command(OUTPUT ${base}.c ${base}.h
    COMMAND ${WEFT_PROTOC} ${includes} --plugin=${plugin_name}=${plugin_file}
      --dependency_out=${out}/${depfile} ${options} ${rel}
    DEPENDS ${plugin_file}
    DEPFILE ${out}/${depfile}
    COMMENT "Generating ${rel}" VERBATIM)
  target_sources(${target} PRIVATE ${base}.c ${base}.h)
endfunction()

function(_weft_generate_library target out)
  file(MAKE_DIRECTORY ${out})
  add_library(${target} STATIC)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON LINKER_LANGUAGE C)
  # Generated code: its warnings are nobody's business.
  target_compile_options(${target} PRIVATE -w)
  target_include_directories(${target} PRIVATE ${out})
  target_include_directories(${target} SYSTEM INTERFACE ${out})
  target_link_libraries(${target} PUBLIC PkgConfig::PROTOBUF_C)
endfunction()

function(_weft_well_known)
  if(TARGET weft_well_known)
    return()
  endif()
  set(out ${CMAKE_BINARY_DIR}/weft_well_known)
  _weft_generate_library(weft_well_known ${out})
  foreach(name any api descriptor duration empty field_mask source_context struct timestamp type
      wrappers)
    _weft_generate_one(weft_well_known ${out} google/protobuf/${name}.proto
      ${WEFT_PROTOBUF_INCLUDE} protoc-gen-c ${WEFT_PROTOC_GEN_C} --c_out=${out})
  endforeach()
endfunction()

function(weft_generate)
  cmake_parse_arguments(A "ALLOW_STREAMS" "TARGET" "PROTOS;IMPORT_DIRS;USES" ${ARGN})
  if(NOT A_TARGET OR NOT A_PROTOS OR A_UNPARSED_ARGUMENTS)
    if(A_UNPARSED_ARGUMENTS)
      list(JOIN A_UNPARSED_ARGUMENTS " " what)
      string(PREPEND what "unknown: ")
    else()
      set(what "TARGET and PROTOS must be given")
    endif()
    message(FATAL_ERROR "weft_generate: ${what}\n  weft_generate(TARGET name PROTOS file.proto ... "
      "[IMPORT_DIRS dir ...] [USES target ...] [ALLOW_STREAMS])")
  endif()
  if(NOT A_IMPORT_DIRS)
    set(A_IMPORT_DIRS ${CMAKE_CURRENT_SOURCE_DIR})
  endif()
  set(own_dirs)
  foreach(dir ${A_IMPORT_DIRS})
    get_filename_component(dir ${dir} ABSOLUTE)
    list(APPEND own_dirs ${dir})
  endforeach()
  set(dirs ${own_dirs})
  foreach(use ${A_USES})
    get_target_property(used_dirs ${use} WEFT_IMPORT_DIRS)
    if(NOT used_dirs)
      message(FATAL_ERROR "weft_generate: ${A_TARGET} USES ${use}, which weft_generate did not make")
    endif()
    list(APPEND dirs ${used_dirs})
  endforeach()
  list(REMOVE_DUPLICATES dirs)

  set(out ${CMAKE_CURRENT_BINARY_DIR}/${A_TARGET}.dir)
  _weft_generate_library(${A_TARGET} ${out})
  set_target_properties(${A_TARGET} PROPERTIES WEFT_IMPORT_DIRS "${dirs}")
  set(options protoc_gen_c=${WEFT_PROTOC_GEN_C})
  if(A_ALLOW_STREAMS)
    string(APPEND options ",allow_streams")
  endif()

  foreach(proto ${A_PROTOS})
    get_filename_component(proto ${proto} ABSOLUTE)
    if(NOT EXISTS ${proto})
      message(FATAL_ERROR "weft_generate: there is no file ${proto}")
    endif()
    set(found)
    foreach(dir ${own_dirs})
      cmake_path(IS_PREFIX dir ${proto} NORMALIZE below)
      if(below)
        cmake_path(RELATIVE_PATH proto BASE_DIRECTORY ${dir} OUTPUT_VARIABLE found)
        break()
      endif()
    endforeach()
    if(NOT found)
      message(FATAL_ERROR "weft_generate: ${proto} is not below any of IMPORT_DIRS (${own_dirs})")
    endif()
    _weft_generate_one(${A_TARGET} ${out} ${found} "${dirs}" protoc-gen-weft
      $<TARGET_FILE:weft::protoc-gen-weft> --weft_out=${options}:${out})

    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${proto})
    file(STRINGS ${proto} well_known REGEX "^[ \t]*import[^\"']*[\"']google/protobuf/")
    if(well_known)
      _weft_well_known()
      target_link_libraries(${A_TARGET} PUBLIC weft_well_known)
    endif()
  endforeach()
  target_link_libraries(${A_TARGET} PUBLIC ${A_USES})
endfunction()

cmake_policy(POP)
