CREATE DATABASE user_service;
CREATE DATABASE chat_service;
CREATE DATABASE auth_manager;
CREATE DATABASE keycloak;
