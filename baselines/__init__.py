"""The parameter-efficient methods that the paper compares (IA)3 with (Section 3.3, Appendix D), a file each."""
