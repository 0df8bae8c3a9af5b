"""What is known of compilers and their options. Pure, without gRPC."""
