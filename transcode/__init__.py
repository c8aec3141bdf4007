"""The codec room: bytes of audio in, whole codec frames and other formats out. Pure and synchronous."""
