# What Weft is compared with and does not depend on, where it is installed:
# WEFT_BENCH_PEERS=ON.  What is missing is said, and missing from the tables.
enable_language(CXX)
set(CMAKE_CXX_STANDARD 17)
set(generated ${CMAKE_CURRENT_BINARY_DIR}/peers)
file(MAKE_DIRECTORY ${generated})
find_program(WEFT_GRPC_PLUGIN grpc_cpp_plugin)
find_program(WEFT_THRIFT thrift)

function(weft_bench_peer KIND PROGRAM SOURCES OUTPUTS)
  cmake_parse_arguments(A "" "" "COMMAND;LINK" ${ARGN})
  foreach(package ${A_LINK})
    string(MAKE_C_IDENTIFIER ${package} id)
    pkg_check_modules(${id} IMPORTED_TARGET ${package})
    if(NOT ${id}_FOUND OR NOT ${PROGRAM})
      message(WARNING "the benchmark's peer ${KIND} is not installed: ${package}, ${PROGRAM}")
      return()
    endif()
  endforeach()
  list(TRANSFORM OUTPUTS PREPEND ${generated}/)
  add_custom_command(OUTPUT ${OUTPUTS} COMMAND ${A_COMMAND}
    DEPENDS echo.proto echo.thrift WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} VERBATIM)
  set(sources ${OUTPUTS})
  list(FILTER sources EXCLUDE REGEX "\\.h$")
  # Generated code: its warnings are nobody's business.
  add_library(echo_${KIND}_generated STATIC ${sources})
  target_compile_options(echo_${KIND}_generated PRIVATE -w)
  target_include_directories(echo_${KIND}_generated SYSTEM PUBLIC ${generated})
  add_executable(echo_${KIND} echo/main.c ${SOURCES})
  target_compile_options(echo_${KIND} PRIVATE -Wall -Wextra)
  target_link_libraries(echo_${KIND} PRIVATE echo_common echo_${KIND}_generated Threads::Threads)
  foreach(package ${A_LINK})
    string(MAKE_C_IDENTIFIER ${package} id)
    target_link_libraries(echo_${KIND}_generated PUBLIC PkgConfig::${id})
  endforeach()
  target_compile_definitions(echo_${KIND} PRIVATE _GNU_SOURCE)
  add_dependencies(echo_bench echo_${KIND})
endfunction()

weft_bench_peer(grpc WEFT_GRPC_PLUGIN echo/grpc.cc
  "echo.pb.cc;echo.pb.h;echo.grpc.pb.cc;echo.grpc.pb.h"
  COMMAND ${WEFT_PROTOC} -I. --cpp_out=${generated} --grpc_out=${generated}
    --plugin=protoc-gen-grpc=${WEFT_GRPC_PLUGIN} echo.proto
  LINK grpc++ protobuf)
weft_bench_peer(thrift WEFT_THRIFT "echo/thrift.c;echo/thrift_order.c"
  "bench_echo.c;bench_echo.h;bench_echo_types.c;bench_echo_types.h"
  COMMAND ${WEFT_THRIFT} --gen c_glib -out ${generated} echo.thrift
  LINK thrift_c_glib)
