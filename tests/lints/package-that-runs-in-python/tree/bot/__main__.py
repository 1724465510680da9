from bot import main
main.run()
