"""The course: numbered notebooks; `molfm lab` opens a working copy of them."""
