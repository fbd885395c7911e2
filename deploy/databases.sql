CREATE DATABASE user_service;
CREATE DATABASE chat_service;
