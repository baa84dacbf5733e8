package pebblekv
