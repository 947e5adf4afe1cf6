"""From untrusted bytes and addresses to arrays: decoding, face detection and downloads."""
