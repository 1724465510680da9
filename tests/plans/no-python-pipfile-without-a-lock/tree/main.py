import cowsay
