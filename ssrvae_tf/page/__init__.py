"""The local page of `ssrvae app`: photos in, enlarged photos out, in a browser on this machine."""
