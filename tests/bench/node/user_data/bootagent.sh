#!/bin/sh
exec bootagent run --repository 'https://github.com/acme/{service}.git'
