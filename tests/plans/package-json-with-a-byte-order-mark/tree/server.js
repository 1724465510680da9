require('./app')
